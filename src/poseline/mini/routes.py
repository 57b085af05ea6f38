"""Ways over the ground in seconds and metres: people cross, stop, turn back, leave, come closer, pass behind things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

LONGEST_HIDDEN_S = 2.0
BODY_M = 0.5  # width of a walking body that has to be covered before nobody is seen
FASTEST = 2.0  # metres per second
_SMOOTHING_S = 0.12


@dataclass(frozen=True)
class Route:
    """Where a walk leads: waypoints (seconds, metres to the right, metres further away than the lane); straight between them."""

    waypoints: list[tuple[float, float, float]]

    def path(self, away: float, frames: int, seconds_per_frame: float) -> Float[np.ndarray, "frames 2"]:
        """Metres on the ground (right, away) in each frame, corners rounded; who has arrived stands."""
        seconds, across, further = np.array(self.waypoints).T
        at = np.arange(frames) * seconds_per_frame
        path = np.stack([np.interp(at, seconds, across), away + np.interp(at, seconds, further)], axis=1)
        return gaussian_filter1d(path, _SMOOTHING_S / seconds_per_frame, axis=0, mode="nearest")

    def beside(self, across: float, further: float) -> Route:
        """The way of somebody who walks along at that distance."""
        return Route([(seconds, x + across, z + further) for seconds, x, z in self.waypoints])


@dataclass(frozen=True)
class View:
    """What the camera sees at one distance: ``half`` metres to either side for ``seconds``."""

    half: float
    seconds: float


@dataclass(frozen=True)
class Screen:
    """What an occluder hides at one distance: ``half`` metres to either side of ``middle``."""

    middle: float
    half: float


def draw_speed(rng: np.random.Generator) -> float:
    """Metres per second of a walk: a stroll to a hurry."""
    return float(rng.uniform(0.6, FASTEST))


def draw_side(rng: np.random.Generator) -> float:
    """-1 or 1."""
    return float(rng.choice([-1.0, 1.0]))


def crosses(rng: np.random.Generator, view: View) -> Route:
    """From one side to the other at one speed."""
    way, middle, when = draw_side(rng) * draw_speed(rng), rng.uniform(-0.4, 0.4) * view.half, rng.uniform(0.3, 0.7) * view.seconds
    end = rng.uniform(-0.4, 0.4)
    return Route([(0, middle - way * when, 0.0), (view.seconds, middle + way * (view.seconds - when), end)])


def stops(rng: np.random.Generator, view: View) -> Route:
    """Walks, stands for a while, walks on at another speed."""
    side, speed, arrives = draw_side(rng), draw_speed(rng), rng.uniform(0.2, 0.45) * view.seconds
    middle, waits = rng.uniform(-0.5, 0.5) * view.half, rng.uniform(0.25, 0.4) * view.seconds
    leaves = arrives + waits
    then = side * draw_speed(rng) * (view.seconds - leaves)
    return Route(
        [(0, middle - side * speed * arrives, 0.0), (arrives, middle, 0.0), (leaves, middle, 0.0), (view.seconds, middle + then, 0.0)]
    )


def turns(rng: np.random.Generator, view: View) -> Route:
    """Walks, hesitates at most for a moment and walks back."""
    side, arrives, pause = draw_side(rng), rng.uniform(0.3, 0.6) * view.seconds, rng.uniform(0.0, 0.4)
    middle = rng.uniform(-0.4, 0.4) * view.half
    leaves, start = arrives + pause, middle - side * draw_speed(rng) * arrives
    then = middle - side * draw_speed(rng) * (view.seconds - leaves)
    return Route([(0, start, 0.0), (arrives, middle, 0.0), (leaves, middle, 0.0), (view.seconds, then, 0.0)])


def returns(rng: np.random.Generator, view: View) -> Route:
    """Leaves the image and comes back on the same side."""
    side, speed, back = draw_side(rng), rng.uniform(0.9, FASTEST), rng.uniform(0.9, FASTEST)
    outside = view.half + 0.7
    start = outside - speed * rng.uniform(0.25, 0.4) * view.seconds
    gone = (outside - start) / speed
    waits = min(rng.uniform(0.2, 1.0), 0.25 * view.seconds)
    then = outside - back * (view.seconds - gone - waits)
    return Route(
        [(0, side * start, 0.0), (gone, side * outside, 0.0), (gone + waits, side * outside, 0.0), (view.seconds, side * then, 0.0)]
    )


def stands(rng: np.random.Generator, view: View) -> Route:
    """Stands, and may leave in the last third."""
    place, leaves = rng.uniform(-0.75, 0.75) * view.half, rng.uniform(0.65, 1.0) * view.seconds
    then = place + draw_side(rng) * draw_speed(rng) * (view.seconds - leaves)
    return Route([(0, place, 0.0), (leaves, place, 0.0), (view.seconds, then, 0.0)])


def comes_closer(rng: np.random.Generator, view: View) -> Route:
    """Walks towards the camera or away from it, a little to one side."""
    side, depth = draw_side(rng), draw_side(rng) * min(0.5 * draw_speed(rng) * view.seconds, 1.6)
    middle, across = rng.uniform(-0.4, 0.4) * view.half, side * rng.uniform(0.1, 0.5) * view.half
    return Route([(0, middle - across, -depth / 2), (view.seconds, middle + across, depth / 2)])


SCRIPTS: dict[str, Callable[[np.random.Generator, View], Route]] = {
    "crosses": crosses, "stops": stops, "turns": turns, "returns": returns, "stands": stands, "comes_closer": comes_closer,
}  # fmt: skip


def hides(rng: np.random.Generator, view: View, screen: Screen, speed: float) -> Route:
    """Passes behind a screen, or turns back behind it, or waits there: hidden for 2 s at most, seen before and after if time allows."""
    side, edge = draw_side(rng), screen.half + 0.1
    crossing = 2 * edge / speed
    arrives = rng.uniform(0.4, 0.6) * max(view.seconds - crossing, 0.6)
    start, entry, end = -side * (edge + speed * arrives), -side * edge, side * edge
    chance = rng.random()
    if chance < 0.2:
        # To a place a body's width behind the edge and back.
        inside = min(2 * edge, BODY_M + 0.35)
        unseen = 2 * (inside - 0.1 - BODY_M / 2) / speed
        back = arrives + inside / speed + min(rng.uniform(0.1, 0.6), LONGEST_HIDDEN_S - unseen)
        then = entry - side * speed * (view.seconds - back - inside / speed)
        way = [(0.0, start), (arrives + inside / speed, entry + side * inside), (back, entry + side * inside), (view.seconds, then)]
    elif chance < 0.35 and crossing < 1.4:
        halfway = arrives + crossing / 2
        waits = rng.uniform(0.2, LONGEST_HIDDEN_S - crossing)
        then = end + side * speed * max(view.seconds - halfway - waits - crossing / 2, 0.0)
        way = [(0.0, start), (halfway, 0.0), (halfway + waits, 0.0), (view.seconds, then)]
    else:
        way = [(0.0, start), (view.seconds, start + side * speed * view.seconds)]
    return Route([(seconds, screen.middle + x, 0.0) for seconds, x in way])
