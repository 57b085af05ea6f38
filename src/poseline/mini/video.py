"""Short videos: people walk across one another, stop, leave the image and come back while the camera pans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from poseline.mini.actions import Motion, angles_at, draw_motion
from poseline.mini.anatomy import Angles, Build, draw_build, pose_body
from poseline.mini.backdrop import draw_backdrop
from poseline.mini.camera import Camera, draw_camera
from poseline.mini.figure import Figure
from poseline.mini.paper import Paper
from poseline.mini.props import draw_crowd, draw_obstacle
from poseline.mini.scene import MIN_VISIBLE_PX, Actor, Scene, draw_light, finish_image, label_person, stage_actor

SECONDS_PER_FRAME = 0.1
_PAN_PX = 40


@dataclass(frozen=True)
class Walker:
    """One person's way through a video.

    Attributes:
        track_id: number within the video.
        path_xz: [frames, 2] metres on the ground (right, away).
        yaw_deg: [frames] heading; 0 faces the camera.
        pace: [frames] 0 standing .. 1 walking.
        phase: [frames] walking cycles.
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

    def actor(self, frame: int, camera: Camera) -> Actor:
        """The person placed in that frame."""
        share = float(self.pace[frame])
        walking = angles_at(self.stride, float(self.phase[frame])).vector()
        resting = angles_at(self.rest, frame * SECONDS_PER_FRAME * 0.8).vector()
        body = pose_body(self.build, Angles.from_vector(share * walking + (1 - share) * resting))
        ground = (float(self.path_xz[frame, 0]), float(self.path_xz[frame, 1]))
        placed = camera.place(body, ground, float(self.yaw_deg[frame]))
        return Actor(placed, self.build, self.look_seed, ground, seated=False, on_ground=True)


def draw_video(rng: np.random.Generator, *, image_wh: tuple[int, int], frames: int) -> Iterator[Scene]:
    """The frames of one video; people keep their ``track_id`` and the distant group is the image's crowd."""
    camera = draw_camera(rng, image_wh)
    wide = Paper.blank((image_wh[0] + 2 * _PAN_PX, image_wh[1]))
    crowded = rng.random() < 0.6
    wide.image[:] = draw_backdrop(rng, wide.size_wh, camera.horizon, outdoors=crowded).image
    if crowded:
        draw_crowd(rng, wide, line=float(np.clip(camera.horizon, 30, image_wh[1] - 40)), number=1)
    front = int(rng.integers(1 << 31)) if rng.random() < 0.4 else None
    light = draw_light(rng)
    walkers = draw_walkers(rng, camera=camera, image_wh=image_wh, frames=frames)
    pan = _draw_pan(rng, frames)
    finish_seed = int(rng.integers(1 << 31))
    for frame in range(frames):
        shift = int(pan[frame])
        window = (slice(None), slice(_PAN_PX + shift, _PAN_PX + shift + image_wh[0]))
        paper = Paper(np.ascontiguousarray(wide.image[window]), np.ascontiguousarray(wide.owner[window]))
        panned = replace(camera, centre=(camera.centre[0] - shift, camera.centre[1]))
        yield _draw_frame(paper, walkers, frame, camera=panned, light=light, front=front, finish_seed=finish_seed)


def _draw_frame(
    paper: Paper, walkers: list[Walker], frame: int, *, camera: Camera, light: np.ndarray, front: int | None, finish_seed: int
) -> Scene:
    rng = np.random.default_rng((finish_seed, frame))
    drawn: list[tuple[int, Figure, int, int]] = []
    number = 2
    for walker in sorted(walkers, key=lambda one: -one.path_xz[frame, 1]):
        number += 2
        figure = stage_actor(rng, paper, walker.actor(frame, camera), camera=camera, light=light, number=number)
        if figure is not None:
            drawn.append((number, figure, paper.figure(figure, number), walker.track_id))
    if front is not None:
        draw_obstacle(np.random.default_rng(front), paper, number + 1)
    labelled = [label_person(paper, figure, own, pixels, track_id=track) for own, figure, pixels, track in drawn]
    crowd: Bool[np.ndarray, "h w"] = paper.owner == 1
    # The camera's own settings hold through the video, its noise does not.
    image = finish_image(np.random.default_rng(finish_seed), paper.image, noise=rng)
    return Scene(image, [person for person in labelled if person is not None], [crowd] if crowd.sum() >= MIN_VISIBLE_PX else [])


def draw_walkers(rng: np.random.Generator, *, camera: Camera, image_wh: tuple[int, int], frames: int) -> list[Walker]:
    """Two to four people: a pair that crosses, one who leaves and returns, one who stops or stands."""
    scripts = ["right", "left", *rng.permutation(["returns", "stops", "stands"])[: int(rng.integers(1, 3))]]
    nearest = rng.uniform(95, 175)
    walkers = []
    for track, script in enumerate(scripts):
        build = draw_build(rng)
        away = float(camera.focal * 1.72 / (nearest * rng.uniform(0.72, 1.0)))
        while camera.ground_point((0.0, away), above=build.stature)[1] < 0.02 * image_wh[1] and away < 12:
            away *= 1.1
        half = (0.5 * image_wh[0] + 0.3 * _PAN_PX) * away / camera.focal
        path = _draw_path(rng, str(script), half, away, frames)
        walkers.append(_make_walker(rng, track, build, path))
    return walkers


def _draw_path(rng: np.random.Generator, script: str, half: float, away: float, frames: int) -> Float[np.ndarray, "frames 2"]:
    """A way over the ground whose waypoints spread over the video; ``half`` metres reach from the middle to the border."""
    reach = min(half, 0.6 * SECONDS_PER_FRAME * max(frames, 16))
    middle = rng.uniform(-0.2, 0.2) * half
    side = float(rng.choice([-1.0, 1.0]))
    drift = away + rng.uniform(-0.35, 0.35)
    inside, outside = side * (half - 0.6), side * (half + 0.8)
    waypoints: dict[str, list[tuple[float, float, float]]] = {
        "right": [(0, middle - reach, away), (1, middle + reach, drift)],
        "left": [(0, middle + reach, away), (1, middle - reach, drift)],
        "returns": [(0, inside, away), (0.36, outside, away), (0.6, outside, away), (1, side * (half - 0.8), drift)],
        "stops": [(0, -side * reach * 0.8, away), (0.5, middle, away), (0.8, middle, away), (1, middle + side * 0.25, away)],
        "stands": [(0, side * half * 0.6, away), (1, side * half * 0.6, away)],
    }  # fmt: skip
    times, across, depth = np.array(waypoints[script]).T
    at = np.linspace(0, 1, frames)
    path = np.stack([np.interp(at, times, across), np.interp(at, times, depth)], axis=1)
    return gaussian_filter1d(path, 1.2, axis=0, mode="nearest")


def _make_walker(rng: np.random.Generator, track: int, build: Build, path: np.ndarray) -> Walker:
    velocity = np.gradient(path, axis=0) / SECONDS_PER_FRAME
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    pace = gaussian_filter1d(np.clip((speed - 0.15) / 0.5, 0, 1), 1.0, mode="nearest")
    resting = np.deg2rad(rng.normal(0, 40))
    # Heading in (right, towards the camera): walking goes along the path, standing turns to the resting yaw.
    heading = np.stack([velocity[:, 0], -velocity[:, 1]], axis=1) / np.maximum(speed, 1e-6)[:, None]
    heading = pace[:, None] * heading + (1 - pace[:, None]) * np.array([np.sin(resting), np.cos(resting)])
    heading = gaussian_filter1d(heading + 1e-4, 1.5, axis=0, mode="nearest")
    phase = rng.random() + np.cumsum(speed) * SECONDS_PER_FRAME / (0.8 * build.stature)
    rest = draw_motion(rng, str(rng.choice(["stand", "wave", "hips", "stand"])))  # type: ignore[arg-type]
    return Walker(
        track, build, int(rng.integers(1 << 31)), draw_motion(rng, "walk"), rest, path,
        np.rad2deg(np.arctan2(heading[:, 0], heading[:, 1])), pace, phase,
    )  # fmt: skip


def _draw_pan(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Whole pixels that the camera has turned by in each frame."""
    end = rng.uniform(-0.8, 0.8) * _PAN_PX
    return np.rint(np.clip(np.linspace(-end / 2, end / 2, frames) + rng.normal(0, 0.4, frames), -_PAN_PX, _PAN_PX)).astype(int)
