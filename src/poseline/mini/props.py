"""Objects among the people: seats, things in front of them, and distant groups that are not told apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float

from poseline.mini.backdrop import draw_foliage, random_tone
from poseline.mini.camera import Camera
from poseline.mini.look import CLOTH_TONES, HAIR_TONES, SKIN_TONES
from poseline.mini.paper import Paper


def draw_seat(
    rng: np.random.Generator, paper: Paper, *, camera: Camera, ground_xz: tuple[float, float], height_m: float, number: int
) -> None:
    """A stool or box of that height."""
    scale = camera.focal / max(ground_xz[1], 0.5)
    foot, top = camera.ground_point(ground_xz), camera.ground_point(ground_xz, above=height_m)
    half, tone = 0.22 * scale, random_tone(rng, 50, 200)
    if rng.random() < 0.5:
        paper.box(foot[0] - half, top[1], foot[0] + half, foot[1], tone, number)
        paper.box(foot[0] - half, top[1], foot[0] + half, top[1] + 0.06 * scale, tone * 1.15, number)
        return
    paper.box(foot[0] - half, top[1], foot[0] + half, top[1] + 0.08 * scale, tone, number)
    for leg in (-0.95, 0.7):
        paper.box(foot[0] + leg * half, top[1], foot[0] + (leg + 0.25) * half, foot[1], tone * 0.7, number)


def draw_obstacle(rng: np.random.Generator, paper: Paper, number: int) -> None:
    """Something that stands in front: a pole, a table edge, a bush, a box or a sign."""
    width, height = paper.size_wh
    x, tone = rng.uniform(0, width), random_tone(rng, 30, 210)
    kind = rng.integers(5)
    if kind == 0:
        half = rng.uniform(3, 9)
        paper.box(x - half, -2, x + half, height + 2, tone, number)
        paper.box(x - half, -2, x - half * 0.4, height + 2, tone * 1.2, number)
    elif kind == 1:
        top, w = height - rng.uniform(15, 60), rng.uniform(50, 160)
        paper.polygon([(x - w / 2, top), (x + w / 2, top), (x + w / 2 + 12, top + 12), (x - w / 2 - 12, top + 12)], tone * 1.1, number)
        paper.box(x - w / 2 - 12, top + 12, x + w / 2 + 12, top + 19, tone * 0.8, number)
        for leg in (-w / 2 - 6, w / 2):
            paper.box(x + leg, top + 19, x + leg + 7, height + 2, tone * 0.65, number)
    elif kind == 2:
        draw_foliage(rng, paper, (x, height - rng.uniform(-5, 20)), rng.uniform(18, 38), stems=20, number=number)
    elif kind == 3:
        w, h = rng.uniform(20, 60), rng.uniform(20, 75)
        paper.box(x - w / 2, height - h, x + w / 2, height + 2, tone, number)
        paper.box(x - w / 2 + 3, height - h + 3, x + w / 2 - 3, height - h * 0.55, tone * 0.8, number)
    else:
        y, w, h = rng.uniform(0.3, 0.9) * height, rng.uniform(14, 34), rng.uniform(14, 30)
        paper.box(x - 2, y, x + 2, height + 2, np.array([90, 90, 92]), number)
        paper.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2, tone, number)


@dataclass(frozen=True)
class Occluder:
    """Something that stands on the ground, facing the camera, and hides who passes behind it.

    Attributes:
        kind: what it is.
        seed: of its colours and details.
        ground_xz: middle of its foot, metres on the ground (right, away).
        width_m: from side to side.
        height_m: above the ground.
    """

    kind: Literal["fence", "van", "kiosk", "hedge", "column"]
    seed: int
    ground_xz: tuple[float, float]
    width_m: float
    height_m: float

    def corner(self, camera: Camera, across: float, up: float) -> Float[np.ndarray, " 2"]:
        """Image point of a place on its face: ``across`` -1..1 of the half-width, ``up`` 0..1 of the height."""
        return camera.ground_point((self.ground_xz[0] + across * self.width_m / 2, self.ground_xz[1]), above=up * self.height_m)

    def panel(self, camera: Camera, across: tuple[float, float], up: tuple[float, float]) -> list[tuple[float, float]]:
        """The four corners of a part of its face in the image."""
        places = ((across[0], up[1]), (across[1], up[1]), (across[1], up[0]), (across[0], up[0]))
        return [(float(x), float(y)) for x, y in (self.corner(camera, *place) for place in places)]


def draw_occluder(one: Occluder, paper: Paper, camera: Camera, number: int) -> None:
    """Draw it as object ``number``; the same in every frame but for the camera."""
    rng = np.random.default_rng(one.seed)
    tone = random_tone(rng, 60, 200)
    scale = camera.focal / one.ground_xz[1]
    foot = one.corner(camera, 0, 0)
    paper.shadow((float(foot[0]), float(foot[1])), (0.62 * one.width_m * scale, 0.14 * scale), 0.45)
    if one.kind == "hedge":
        _draw_hedge(rng, one, paper, camera, number)
        return
    paper.polygon(one.panel(camera, (-1, 1), (0, 1)), tone, number)
    if one.kind == "column":
        paper.polygon(one.panel(camera, (-1, -0.4), (0, 1)), tone * 1.15, number)
        paper.polygon(one.panel(camera, (0.5, 1), (0, 1)), tone * 0.8, number)
    elif one.kind == "fence":
        boards = max(round(one.width_m / 0.35), 2)
        edges = np.linspace(-1, 1, boards + 1)
        for left, right in pairwise(edges.tolist()):
            paper.polygon(one.panel(camera, (left, right - 0.06 / boards), (0, 1)), tone * rng.uniform(0.8, 1.15), number)
        for up in (0.25, 0.8):
            paper.polygon(one.panel(camera, (-1, 1), (up, up + 0.05)), tone * 0.6, number)
    elif one.kind == "kiosk":
        for left, right in ((-0.9, -0.1), (0.1, 0.9)):
            paper.polygon(one.panel(camera, (left, right), (0.35, 0.8)), random_tone(rng, 60, 230, chroma=50), number)
            paper.polygon(one.panel(camera, (left + 0.1, right - 0.3), (0.45, 0.7)), random_tone(rng, 60, 230, chroma=50), number)
        paper.polygon(one.panel(camera, (-1, 1), (0.88, 1)), tone * 0.6, number)
    else:
        paper.polygon(one.panel(camera, (-0.95, -0.35), (0.5, 0.85)), np.array([60, 70, 80]), number)
        paper.polygon(one.panel(camera, (-1, 1), (0.38, 0.43)), random_tone(rng, 60, 230, chroma=60), number)
        paper.polygon(one.panel(camera, (-1, 1), (0, 0.1)), np.array([35, 35, 38]), number)
        for wheel in (-0.65, 0.65):
            middle = one.corner(camera, wheel, 0.12)
            paper.ellipse((float(middle[0]), float(middle[1])), (0.32 * scale, 0.32 * scale), np.array([25, 25, 28]), number)


def _draw_hedge(rng: np.random.Generator, one: Occluder, paper: Paper, camera: Camera, number: int) -> None:
    """A solid heart under leaves."""
    green = np.array([70, 112, 52]) + rng.normal(0, 16, 3)
    paper.polygon(one.panel(camera, (-1, 1), (0, 1)), green * 0.6, number)
    scale = camera.focal / one.ground_xz[1]
    for place in range(50):
        at = one.corner(camera, rng.uniform(-0.95, 0.95), rng.uniform(0.05, 1.0))
        radius = rng.uniform(0.08, 0.22) * scale
        paper.ellipse((float(at[0]), float(at[1])), (radius, 0.75 * radius), green * (0.6 + 0.014 * place), number)


def draw_crowd(rng: np.random.Generator, paper: Paper, *, line: float, number: int) -> None:
    """A distant group, 20 to 34 pixels tall, standing about row ``line``."""
    width, _ = paper.size_wh
    count = int(rng.integers(7, 15))
    tall = rng.uniform(20, 34)
    spread = tall * rng.uniform(0.28, 0.45) * count / 2
    middle = rng.uniform(0.15, 0.85) * width
    rows = np.sort(rng.uniform(0, tall * 0.25, count))
    for row in rows:
        x, y, h = middle + rng.uniform(-spread, spread), line + tall * 0.5 + row, tall * rng.uniform(0.88, 1.12)
        shirt, trousers = CLOTH_TONES[rng.integers(len(CLOTH_TONES), size=2)] * 0.9
        skin, hair = SKIN_TONES[rng.integers(len(SKIN_TONES))], HAIR_TONES[rng.integers(len(HAIR_TONES))]
        foot, swing = np.array([x, y]), rng.uniform(-0.06, 0.06)
        for leg in (-0.06, 0.06):
            shape = np.array([(leg - 0.045, -0.5), (leg + 0.045, -0.5), (leg * 1.5 + 0.03, 0), (leg * 1.5 - 0.03, 0)])
            paper.polygon(foot + h * shape, trousers, number)
        for arm in (-1, 1):
            shape = np.array([(arm * 0.09, -0.82), (arm * 0.14, -0.8), (arm * 0.16 + swing, -0.48), (arm * 0.12 + swing, -0.48)])
            paper.polygon(foot + h * shape, shirt * 0.85, number)
        paper.polygon(foot + h * np.array([(-0.12, -0.83), (0.12, -0.83), (0.09, -0.47), (-0.09, -0.47)]), shirt, number)
        paper.ellipse((x, y - 0.91 * h), (0.062 * h, 0.08 * h), skin, number)
        paper.ellipse((x, y - 0.945 * h), (0.065 * h, 0.05 * h), hair, number)
