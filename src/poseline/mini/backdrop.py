"""Cluttered backgrounds: rooms, streets and parks, with furniture, foliage and things that look like limbs."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseline.mini.look import CLOTH_TONES, SKIN_TONES
from poseline.mini.paper import Paper


def draw_backdrop(rng: np.random.Generator, size_wh: tuple[int, int], horizon: float, *, outdoors: bool = False) -> Paper:
    """A background image whose ground begins at row ``horizon``; ``outdoors`` rules out a room."""
    paper = Paper.blank(size_wh)
    kind = rng.choice(3, p=[0.0, 0.53, 0.47] if outdoors else [0.4, 0.32, 0.28])
    horizon = float(np.clip(horizon, 0.12 * size_wh[1], 0.75 * size_wh[1]))
    (_draw_room, _draw_street, _draw_park)[kind](rng, paper, horizon)
    for _ in range(rng.poisson(2.2)):
        _draw_distractor(rng, paper)
    paper.image[:] = _grain(rng, paper.image)
    if rng.random() < 0.65:
        cv2.GaussianBlur(paper.image, (0, 0), float(rng.uniform(0.5, 1.5)), dst=paper.image)
    paper.owner[:] = 0
    return paper


def random_tone(rng: np.random.Generator, low: float = 20, high: float = 235, *, chroma: float = 35) -> Float[np.ndarray, " 3"]:
    """A muted colour at random."""
    return np.clip(rng.uniform(low, high) + rng.normal(0, chroma, 3), 5, 250)


def _fade(paper: Paper, top: int, bottom: int, first: np.ndarray, last: np.ndarray) -> None:
    """A vertical gradient over some rows."""
    rows = max(bottom - top, 1)
    share = np.linspace(0, 1, rows)[:, None]
    paper.image[top:bottom] = (first + (last - first) * share)[:, None, :].clip(0, 255)


def _grain(rng: np.random.Generator, image: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """The image under blotches of light and dark at two scales."""
    height, width = image.shape[:2]
    grid = (max(height // 40, 2), max(width // 40, 2))
    coarse = (rng.normal(0, 9, (*grid, 1)) + rng.normal(0, 3, (*grid, 3))).astype(np.float32)
    fine = rng.normal(0, rng.uniform(2, 11), (height // 4, width // 4)).astype(np.float32)
    clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    specks = cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(image, cv2.add(clouds, cv2.merge([specks, specks, specks])), dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _draw_room(rng: np.random.Generator, paper: Paper, horizon: float) -> None:
    width, height = paper.size_wh
    floor = int(min(horizon + rng.uniform(0.06, 0.3) * height, 0.88 * height))
    wall, ground = random_tone(rng, 90, 225, chroma=18), random_tone(rng, 50, 180, chroma=22)
    _fade(paper, 0, floor, wall * rng.uniform(0.85, 1.1), wall)
    _fade(paper, floor, height, ground * 0.85, ground * 1.1)
    if rng.random() < 0.4:
        for x in np.linspace(-0.6 * width, 1.6 * width, 16):
            vanish = width * 0.5 + (x - width * 0.5) * 0.35
            cv2.line(paper.image, (int(vanish), floor), (int(x), height), tuple(map(float, ground * 0.75)), 1, cv2.LINE_AA)
    paper.box(0, floor - 4, width, floor, wall * 0.7)
    for _ in range(rng.integers(1, 4)):
        _draw_frame(rng, paper, floor)
    if rng.random() < 0.55:
        _draw_shelf(rng, paper, floor)
    for _ in range(rng.poisson(1.6)):
        _draw_furniture(rng, paper, floor)
    if rng.random() < 0.4:
        x = rng.uniform(0, width)
        draw_foliage(rng, paper, (x, floor - 18), 20, stems=14)


def _draw_frame(rng: np.random.Generator, paper: Paper, floor: int) -> None:
    """A picture, a window or a door on the wall."""
    width, _ = paper.size_wh
    w, h = rng.uniform(20, 80), rng.uniform(20, 90)
    x, y = rng.uniform(-10, width - 10), rng.uniform(2, max(floor - h, 4))
    if rng.random() < 0.25:
        y, h = floor - rng.uniform(80, 130), 0
        h = floor - y
    frame = random_tone(rng)
    paper.box(x, y, x + w, y + h, frame)
    paper.box(x + 3, y + 3, x + w - 3, y + h - 3, random_tone(rng, 60, 245))
    if rng.random() < 0.6:
        paper.box(x + w / 2 - 1, y, x + w / 2 + 1, y + h, frame)
        paper.box(x, y + h / 2 - 1, x + w, y + h / 2 + 1, frame)


def _draw_shelf(rng: np.random.Generator, paper: Paper, floor: int) -> None:
    """Boards full of books and boxes."""
    width, _ = paper.size_wh
    w, boards = rng.uniform(50, 130), int(rng.integers(2, 5))
    x, gap = rng.uniform(-20, width - 40), rng.uniform(20, 32)
    wood = random_tone(rng, 50, 160, chroma=20)
    for board in range(boards):
        y = floor - gap * board - rng.uniform(0, 2)
        paper.box(x, y - gap, x + w, y, wood * 0.6)
        at = x + 2
        while at < x + w - 5:
            step = rng.uniform(3, 11)
            tone = CLOTH_TONES[rng.integers(len(CLOTH_TONES))] * rng.uniform(0.7, 1.1)
            paper.box(at, y - gap * rng.uniform(0.5, 0.92), min(at + step, x + w - 2), y, tone)
            at += step + rng.uniform(0, 2)
        paper.box(x - 2, y - 2, x + w + 2, y + 1, wood)


def _draw_furniture(rng: np.random.Generator, paper: Paper, floor: int) -> None:
    """A table, chair or cabinet standing on the floor."""
    width, height = paper.size_wh
    x, y = rng.uniform(-20, width), rng.uniform(floor, min(floor + 60, height))
    w, h = rng.uniform(30, 90), rng.uniform(25, 70)
    tone = random_tone(rng, 40, 190)
    if rng.random() < 0.4:
        paper.box(x, y - h, x + w, y, tone)
        paper.box(x + 2, y - h + 2, x + w - 2, y - h / 2, tone * 1.12)
        return
    paper.polygon([(x, y - h), (x + w, y - h), (x + w + 8, y - h + 7), (x - 8, y - h + 7)], tone)
    for leg in (x - 4, x + w):
        paper.box(leg, y - h + 7, leg + 4, y, tone * 0.75)
    if rng.random() < 0.5:
        paper.box(x - 2, y - 2 * h, x + 4, y - h, tone * 0.85)


def _draw_street(rng: np.random.Generator, paper: Paper, horizon: float) -> None:
    width, height = paper.size_wh
    sky = np.array([150, 185, 225]) + rng.normal(0, 22, 3)
    ground = random_tone(rng, 80, 165, chroma=10)
    line = int(horizon)
    _fade(paper, 0, line, sky, sky + 35)
    _fade(paper, line, height, ground * 0.8, ground * 1.1)
    x = rng.uniform(-40, 0)
    while x < width:
        w, top = rng.uniform(35, 100), rng.uniform(-20, max(line - 20, 0))
        tone = random_tone(rng, 60, 205, chroma=22)
        base = line + rng.uniform(2, 14)
        paper.box(x, top, x + w, base, tone)
        pane = random_tone(rng, 40, 230, chroma=15)
        across, down = rng.uniform(9, 20), rng.uniform(12, 24)
        for wx in np.arange(x + 4, x + w - 6, across):
            for wy in np.arange(max(top, -10) + 5, base - 12, down):
                paper.box(wx, wy, wx + across * 0.5, wy + down * 0.55, pane * rng.uniform(0.85, 1.1))
        x += w + rng.choice([0.0, rng.uniform(0, 25)])
    if rng.random() < 0.6:
        y = line + rng.uniform(10, 40)
        paper.polygon([(0, y), (width, y - rng.uniform(-8, 8)), (width, y + 5), (0, y + 5)], ground * 1.25)
    for _ in range(rng.poisson(1.3)):
        _draw_vehicle(rng, paper, line)
    for _ in range(rng.poisson(1.2)):
        _draw_pole(rng, paper, line)
    if rng.random() < 0.45:
        draw_foliage(rng, paper, (rng.uniform(0, width), line - rng.uniform(10, 60)), rng.uniform(15, 40), stems=18)


def _draw_vehicle(rng: np.random.Generator, paper: Paper, line: int) -> None:
    width, _ = paper.size_wh
    x, y, w = rng.uniform(-30, width), line + rng.uniform(6, 45), rng.uniform(45, 110)
    h, tone = w * 0.24, CLOTH_TONES[rng.integers(len(CLOTH_TONES))]
    cabin = [(x + 0.2 * w, y - h), (x + 0.32 * w, y - 1.8 * h), (x + 0.7 * w, y - 1.8 * h), (x + 0.85 * w, y - h)]
    paper.polygon(cabin, np.array([60, 70, 80]))
    paper.box(x, y - 1.1 * h, x + w, y, tone)
    for wheel in (0.2, 0.78):
        paper.ellipse((x + wheel * w, y), (0.09 * w, 0.09 * w), np.array([25, 25, 28]))


def _draw_pole(rng: np.random.Generator, paper: Paper, line: float) -> None:
    width, _ = paper.size_wh
    x, w, tone = rng.uniform(0, width), rng.uniform(2, 6), random_tone(rng, 40, 190, chroma=12)
    base = line + rng.uniform(5, 60)
    paper.box(x, rng.uniform(-10, 60), x + w, base, tone)
    if rng.random() < 0.5:
        top = rng.uniform(15, 70)
        paper.box(x - rng.uniform(6, 22), top, x + rng.uniform(6, 26), top + rng.uniform(10, 24), random_tone(rng, chroma=70))


def _draw_park(rng: np.random.Generator, paper: Paper, horizon: float) -> None:
    width, height = paper.size_wh
    sky = np.array([165, 200, 228]) + rng.normal(0, 20, 3)
    grass = np.array([95, 130, 62]) + rng.normal(0, 20, 3)
    if rng.random() < 0.25:
        grass = np.array([205, 188, 148]) + rng.normal(0, 12, 3)
    line = int(horizon)
    _fade(paper, 0, line, sky, sky + 25)
    _fade(paper, line, height, grass * 0.8, grass * 1.1)
    for _ in range(int(rng.integers(2, 6))):
        draw_foliage(rng, paper, (rng.uniform(0, width), line - rng.uniform(0, 40)), rng.uniform(18, 48), stems=22)
    for _ in range(rng.poisson(1.0)):
        x, w = rng.uniform(0, width), rng.uniform(5, 13)
        bark = np.array([92, 72, 54]) * rng.uniform(0.7, 1.3)
        base = line + rng.uniform(5, 50)
        paper.polygon([(x, -5), (x + w, -5), (x + w * 1.3, base), (x - w * 0.3, base)], bark)
        draw_foliage(rng, paper, (x, rng.uniform(0, 30)), rng.uniform(25, 50), stems=16)
    if rng.random() < 0.35:
        x = rng.uniform(0, width)
        path = [(width * 0.5, line), (width * 0.5 + 8, line), (x + 80, height), (x - 40, height)]
        paper.polygon(path, random_tone(rng, 130, 190, chroma=10))


def draw_foliage(rng: np.random.Generator, paper: Paper, centre: tuple[float, float], size: float, *, stems: int, number: int = 0) -> None:
    """A heap of leaf-coloured blobs, dark ones first."""
    green = np.array([70, 112, 52]) + rng.normal(0, 16, 3)
    offsets = rng.normal(0, 0.55, (stems, 2)) * size
    radii = rng.uniform(0.18, 0.5, stems) * size
    for i, (offset, radius) in enumerate(zip(offsets, radii, strict=True)):
        tone = green * (0.6 + 0.7 * i / stems)
        at = (centre[0] + offset[0], centre[1] + 0.8 * offset[1])
        paper.ellipse(at, (radius, radius * 0.75), tone, number, angle=float(i * 37 % 180))


def _draw_distractor(rng: np.random.Generator, paper: Paper) -> None:
    """Something with the colour or shape of a limb, a head or a garment that belongs to nobody."""
    width, height = paper.size_wh
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    tones = SKIN_TONES if rng.random() < 0.5 else CLOTH_TONES
    tone = tones[rng.integers(len(tones))] * rng.uniform(0.75, 1.05)
    if rng.random() < 0.35:
        radius = rng.uniform(4, 13)
        paper.ellipse((x, y), (radius, radius * rng.uniform(0.9, 1.4)), tone)
        return
    angle, length = rng.uniform(0, np.pi), rng.uniform(18, 75)
    along = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-along[1], along[0]])
    thick, thin = rng.uniform(3, 10), rng.uniform(2, 6)
    start, end = np.array([x, y]), np.array([x, y]) + along * length
    paper.polygon(np.stack([start + side * thick, end + side * thin, end - side * thin, start - side * thick]), tone)
    paper.polygon(np.stack([start + side * thick * 0.3, end + side * thin * 0.3, end - side * thin, start - side * thick]), tone * 0.8)
