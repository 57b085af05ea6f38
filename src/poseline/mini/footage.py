"""What a video shows, and its frames: people on their ways, things that hide them, a wide backdrop under a camera that pans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.ndimage import gaussian_filter1d

from poseline.mini.actions import Motion, angles_at, draw_motion
from poseline.mini.anatomy import Angles, Build, pose_body
from poseline.mini.backdrop import draw_backdrop
from poseline.mini.camera import Camera, draw_camera
from poseline.mini.figure import Figure
from poseline.mini.paper import Paper
from poseline.mini.props import Occluder, draw_crowd, draw_obstacle, draw_occluder
from poseline.mini.scene import MIN_VISIBLE_PX, Actor, Scene, finish_image, label_person, stage_actor


@dataclass(frozen=True)
class Walker:
    """One person's way through a video.

    Attributes:
        track_id: number within the video.
        path_xz: [frames, 2] metres on the ground (right, away).
        yaw_deg: [frames] heading; 0 faces the camera.
        pace: [frames] 0 standing .. 1 walking.
        phase: [frames] walking cycles.
        seconds_per_frame: from one frame to the next.
    """

    track_id: int
    build: Build
    look_seed: int
    stride: Motion
    rest: Motion
    path_xz: Float[np.ndarray, "frames 2"]
    yaw_deg: Float[np.ndarray, " frames"]
    pace: Float[np.ndarray, " frames"]
    phase: Float[np.ndarray, " frames"]
    seconds_per_frame: float

    def actor(self, frame: int, camera: Camera) -> Actor:
        """The person placed in that frame."""
        fraction = float(self.pace[frame])
        walking = angles_at(self.stride, float(self.phase[frame])).vector()
        resting = angles_at(self.rest, frame * self.seconds_per_frame * 0.8).vector()
        body = pose_body(self.build, Angles.from_vector(fraction * walking + (1 - fraction) * resting))
        ground = (float(self.path_xz[frame, 0]), float(self.path_xz[frame, 1]))
        placed = camera.place(body, ground, float(self.yaw_deg[frame]))
        return Actor(placed, self.build, self.look_seed, ground, seated=False, on_ground=True)


def draw_walker(
    rng: np.random.Generator, track: int, build: Build, path: Float[np.ndarray, "frames 2"], seconds_per_frame: float
) -> Walker:
    """Somebody who goes that way: legs and heading follow from the path; whoever stands turns to a heading of their own."""
    velocity = np.gradient(path, axis=0) / seconds_per_frame
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    tenth = 0.1 / seconds_per_frame
    pace = gaussian_filter1d(np.clip((speed - 0.15) / 0.5, 0, 1), tenth, mode="nearest")
    resting = np.deg2rad(rng.normal(0, 40))
    # Heading in (right, towards the camera): walking goes along the path, standing turns to the resting yaw.
    heading = np.stack([velocity[:, 0], -velocity[:, 1]], axis=1) / np.maximum(speed, 1e-6)[:, None]
    heading = pace[:, None] * heading + (1 - pace[:, None]) * np.array([np.sin(resting), np.cos(resting)])
    heading = gaussian_filter1d(heading + 1e-4, 1.5 * tenth, axis=0, mode="nearest")
    phase = rng.random() + np.cumsum(speed) * seconds_per_frame / (0.8 * build.stature)
    rest = draw_motion(rng, str(rng.choice(["stand", "wave", "hips", "stand"])))  # type: ignore[arg-type]
    return Walker(
        track, build, int(rng.integers(1 << 31)), draw_motion(rng, "walk"), rest, path,
        np.rad2deg(np.arctan2(heading[:, 0], heading[:, 1])), pace, phase, seconds_per_frame,
    )  # fmt: skip


@dataclass(frozen=True)
class Surroundings:
    """The camera and what stands still, decided before anybody walks.

    Attributes:
        camera: as it looks while it has not turned.
        backdrop: wider than the image by ``margin_px`` on both sides.
        margin_px: how far the camera may turn.
        front: seed of something small that stays before the camera, None for nothing.
    """

    camera: Camera
    backdrop: Paper
    margin_px: int
    front: int | None


def draw_surroundings(rng: np.random.Generator, *, image_wh: tuple[int, int], margin_px: int, front_fraction: float) -> Surroundings:
    """A camera and a backdrop at random; the distant group is the image's crowd."""
    camera = draw_camera(rng, image_wh)
    wide = Paper.blank((image_wh[0] + 2 * margin_px, image_wh[1]))
    crowded = rng.random() < 0.6
    wide.image[:] = draw_backdrop(rng, wide.size_wh, camera.horizon, outdoors=crowded).image
    if crowded:
        draw_crowd(rng, wide, line=float(np.clip(camera.horizon, 30, image_wh[1] - 40)), number=1)
    return Surroundings(camera, wide, margin_px, int(rng.integers(1 << 31)) if rng.random() < front_fraction else None)


@dataclass(frozen=True)
class Footage:
    """A video before it is drawn.

    Attributes:
        surroundings: camera and backdrop.
        light: unit vector towards the light.
        walkers: the people.
        pan_px: [frames] whole pixels that the camera has turned by: everything in the image is shifted to the left by so much.
        finish_seed: of what the camera does to the image.
        occluders: things in the scene that hide those who are further away.
    """

    surroundings: Surroundings
    light: Float[np.ndarray, " 3"]
    walkers: list[Walker]
    pan_px: Integer[np.ndarray, " frames"]
    finish_seed: int
    occluders: tuple[Occluder, ...] = ()

    def scenes(self) -> Iterator[Scene]:
        """The frames in order; people keep their ``track_id``."""
        wide, camera, margin = self.surroundings.backdrop, self.surroundings.camera, self.surroundings.margin_px
        width = wide.size_wh[0] - 2 * margin
        for frame, shift in enumerate(self.pan_px.tolist()):
            window = (slice(None), slice(margin + shift, margin + shift + width))
            paper = Paper(np.ascontiguousarray(wide.image[window]), np.ascontiguousarray(wide.owner[window]))
            yield self._draw_frame(paper, frame, replace(camera, centre=(camera.centre[0] - shift, camera.centre[1])))

    def _draw_frame(self, paper: Paper, frame: int, camera: Camera) -> Scene:
        rng = np.random.default_rng((self.finish_seed, frame))
        drawn: list[tuple[int, Figure, int, int]] = []
        number = 2
        away = [(one.ground_xz[1], one) for one in self.occluders] + [(float(one.path_xz[frame, 1]), one) for one in self.walkers]
        for _, one in sorted(away, key=lambda pair: -pair[0]):
            number += 2
            if isinstance(one, Occluder):
                draw_occluder(one, paper, camera, number)
                continue
            figure = stage_actor(rng, paper, one.actor(frame, camera), camera=camera, light=self.light, number=number)
            if figure is not None:
                drawn.append((number, figure, paper.figure(figure, number), one.track_id))
        if self.surroundings.front is not None:
            draw_obstacle(np.random.default_rng(self.surroundings.front), paper, number + 1)
        labelled = [label_person(paper, figure, own, pixels, track_id=track) for own, figure, pixels, track in drawn]
        crowd: Bool[np.ndarray, "h w"] = paper.owner == 1
        # The camera's own settings hold through the video, its noise does not.
        image = finish_image(np.random.default_rng(self.finish_seed), paper.image, noise=rng)
        return Scene(image, [person for person in labelled if person is not None], [crowd] if crowd.sum() >= MIN_VISIBLE_PX else [])
