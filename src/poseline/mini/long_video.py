"""Long videos, 25 frames a second: people of different speeds stop, turn back, walk in pairs, leave, and are hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Integer
from scipy.ndimage import gaussian_filter1d

from poseline.mini.anatomy import Build, draw_build
from poseline.mini.camera import Camera
from poseline.mini.footage import Footage, Walker, draw_surroundings, draw_walker
from poseline.mini.props import Occluder
from poseline.mini.routes import BODY_M, LONGEST_HIDDEN_S, SCRIPTS, Route, Screen, View, draw_side, draw_speed, hides
from poseline.mini.scene import Scene, draw_light

SECONDS_PER_FRAME = 0.04
_TURNING_S = 0.15
_PAN_PX = 130  # in an image of 320 columns
_LANE_M = 0.6  # between the ways of two people who have nothing to do with each other


def draw_long_video(rng: np.random.Generator, *, image_wh: tuple[int, int], frames: int, max_people: int) -> Iterator[Scene]:
    """The frames of one long video of at most ``max_people`` people."""
    return draw_footage(rng, image_wh=image_wh, frames=frames, max_people=max_people).scenes()


def draw_footage(rng: np.random.Generator, *, image_wh: tuple[int, int], frames: int, max_people: int) -> Footage:
    """What one long video shows: somebody hidden for a while in most, a group in many, a pan in two of three."""
    margin = round(_PAN_PX * image_wh[0] / 320)
    surroundings = draw_surroundings(rng, image_wh=image_wh, margin_px=margin, front_fraction=0.0)
    cast = _Cast(surroundings.camera, image_wh, frames, float(rng.uniform(105, 165)) * image_wh[1] / 240)
    occluder = None
    people = min(int(rng.integers(4, 7)), max_people)
    for _ in range(int(rng.integers(0, 2)) if people > 2 else 0):
        cast.add(rng, _draw_route(rng, cast.view()))
    if rng.random() < 0.8:
        occluder = cast.add_hidden(rng, together=people - len(cast.walkers) > 1 and rng.random() < 0.35)
    if people - len(cast.walkers) > 1 and rng.random() < 0.6:
        cast.add_group(rng, SCRIPTS[str(rng.choice(["crosses", "crosses", "stops", "turns"]))](rng, cast.view()))
    while len(cast.walkers) < people:
        cast.add(rng, _draw_route(rng, cast.view()))
    light = draw_light(rng)
    pan = draw_pan(rng, cast.walkers[0], surroundings.camera, frames, margin)
    occluders = () if occluder is None else (occluder,)
    return Footage(surroundings, light, cast.walkers, pan, int(rng.integers(1 << 31)), occluders)


def _draw_route(rng: np.random.Generator, view: View) -> Route:
    return SCRIPTS[str(rng.choice(list(SCRIPTS)))](rng, view)


class _Cast:
    """The people of a video so far, nearest first: each further group has its lane further away."""

    def __init__(self, camera: Camera, image_wh: tuple[int, int], frames: int, nearest_px: float) -> None:
        """Nobody yet; somebody of average height in the first lane is ``nearest_px`` tall."""
        self.camera, self.image_wh, self.frames = camera, image_wh, frames
        self.walkers: list[Walker] = []
        self.away = camera.focal * 1.72 / nearest_px
        while camera.ground_point((0.0, self.away), above=1.9)[1] < 0.02 * image_wh[1] and self.away < 12:
            self.away *= 1.1

    def view(self) -> View:
        """What is seen of the current lane."""
        return View(0.5 * self.image_wh[0] * self.away / self.camera.focal, self.frames * SECONDS_PER_FRAME)

    def add(self, rng: np.random.Generator, route: Route) -> None:
        """One person in the current lane, which is taken then."""
        self._walk(rng, draw_build(rng), route)
        self._next_lane(rng)

    def add_group(self, rng: np.random.Generator, route: Route) -> None:
        """Two who walk side by side."""
        self._walk(rng, draw_build(rng), route)
        beside = route.beside(draw_side(rng) * rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.6))
        self._walk(rng, draw_build(rng), beside)
        self._next_lane(rng, further=0.5)

    def add_hidden(self, rng: np.random.Generator, *, together: bool) -> Occluder:
        """Somebody (or two together) who is hidden for a while, and what hides them: between the last lane and theirs."""
        if self.walkers:
            self.away += 0.9  # who comes closer or goes away walks through nothing
        view, speed = self.view(), draw_speed(rng)
        longest = min(LONGEST_HIDDEN_S, 0.6 * view.seconds)
        width = float(np.clip(speed * rng.uniform(0.3, 1.0) * longest + BODY_M, 0.7, 1.1 * view.half))
        middle = rng.uniform(-0.3, 0.3) * view.half
        nearer = self.away - 0.5
        route = hides(rng, view, Screen(middle, width / 2), speed)
        occluder = self._draw_occluder(rng, (middle * nearer / self.away, nearer), width * nearer / self.away)
        (self.add_group if together else self.add)(rng, route)
        return occluder

    def _draw_occluder(self, rng: np.random.Generator, ground_xz: tuple[float, float], width: float) -> Occluder:
        """Of that width, and high enough to hide a tall person behind it from this camera."""
        kind = "column" if width < 0.9 else str(rng.choice(["fence", "van", "kiosk", "hedge"]))
        height, crown = 2.0, self.camera.ground_point((ground_xz[0], self.away + 0.6), above=2.05)[1]
        while self.camera.ground_point(ground_xz, above=height)[1] > crown and height < 4:
            height += 0.1
        return Occluder(kind, int(rng.integers(1 << 31)), ground_xz, width, height)  # type: ignore[arg-type]

    def _walk(self, rng: np.random.Generator, build: Build, route: Route) -> None:
        path = route.path(self.away, self.frames, SECONDS_PER_FRAME)
        walker = draw_walker(rng, len(self.walkers), build, path, SECONDS_PER_FRAME)
        # Nobody turns about from one frame to the next.
        yaw = gaussian_filter1d(np.unwrap(walker.yaw_deg, period=360), _TURNING_S / SECONDS_PER_FRAME, mode="nearest")
        self.walkers.append(replace(walker, yaw_deg=yaw))

    def _next_lane(self, rng: np.random.Generator, further: float = 0.0) -> None:
        self.away += _LANE_M * rng.uniform(0.9, 1.4) + further


def draw_pan(rng: np.random.Generator, first: Walker, camera: Camera, frames: int, most: int) -> Integer[np.ndarray, " frames"]:
    """Whole pixels that the camera has turned by: it stands, turns, turns there and back, or follows the first person."""
    at, kind = np.linspace(0, 1, frames), str(rng.choice(["stands", "turns", "turns_back", "follows"], p=[0.34, 0.26, 0.2, 0.2]))
    speed = draw_side(rng) * most * rng.uniform(0.4, 1.0)
    if kind == "stands":
        return np.zeros(frames, dtype=int)
    if kind == "turns":
        pan = speed * (np.clip((at - 0.15) / 0.7, 0, 1) - 0.5)
    elif kind == "turns_back":
        pan = speed * np.sin(np.pi * np.clip((at - 0.1) / 0.8, 0, 1)) ** 2
    else:
        across: Float[np.ndarray, " frames"] = first.path_xz[:, 0] * camera.focal / first.path_xz[:, 1]
        pan = 0.8 * across
    per_second = 1 / SECONDS_PER_FRAME
    shake = gaussian_filter1d(rng.normal(0, 1, frames), 0.1 * per_second, mode="nearest") * 2.0
    return np.rint(np.clip(gaussian_filter1d(pan, 0.15 * per_second, mode="nearest") + shake, -most, most)).astype(int)
