"""Short videos, 10 frames a second: people walk across one another, stop, leave the image and come back while the camera pans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from poseline.mini.anatomy import draw_build
from poseline.mini.camera import Camera
from poseline.mini.footage import Footage, Walker, draw_surroundings, draw_walker
from poseline.mini.scene import Scene, draw_light

SECONDS_PER_FRAME = 0.1
_PAN_PX = 40


def draw_video(rng: np.random.Generator, *, image_wh: tuple[int, int], frames: int) -> Iterator[Scene]:
    """The frames of one short video."""
    surroundings = draw_surroundings(rng, image_wh=image_wh, margin_px=_PAN_PX, front_fraction=0.4)
    light = draw_light(rng)
    walkers = _draw_walkers(rng, camera=surroundings.camera, image_wh=image_wh, frames=frames)
    pan = _draw_pan(rng, frames)
    return Footage(surroundings, light, walkers, pan, int(rng.integers(1 << 31))).scenes()


def _draw_walkers(rng: np.random.Generator, *, camera: Camera, image_wh: tuple[int, int], frames: int) -> list[Walker]:
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
        walkers.append(draw_walker(rng, track, build, path, SECONDS_PER_FRAME))
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


def _draw_pan(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Whole pixels that the camera has turned by in each frame."""
    end = rng.uniform(-0.8, 0.8) * _PAN_PX
    return np.rint(np.clip(np.linspace(-end / 2, end / 2, frames) + rng.normal(0, 0.4, frames), -_PAN_PX, _PAN_PX)).astype(int)
