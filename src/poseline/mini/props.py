"""Objects among the people: seats, things in front of them, and distant groups that are not told apart."""

from __future__ import annotations

import numpy as np

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
