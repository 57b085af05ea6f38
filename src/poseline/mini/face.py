"""The head: skull, hair, ears and a face whose parts turn away with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from poseline.mini.anatomy import Body, Build
from poseline.mini.camera import Camera
from poseline.mini.look import Look
from poseline.mini.raster import SUPERSAMPLE, Canvas, Ellipsoid, Tube, draw_ellipsoid, draw_tube

#: Where hair begins: height on the unit sphere over places from back (-1) to front (1).
HAIRLINE = {
    "short": ([-1, -0.3, 0.0, 0.35, 0.7, 1.0], [-0.55, -0.5, 0.0, 0.45, 0.58, 0.62]),
    "long": ([-1, -0.1, 0.25, 0.5, 0.75, 1.0], [-1.2, -1.2, -0.6, 0.2, 0.5, 0.6]),
    "bun": ([-1, -0.3, 0.1, 0.4, 0.7, 1.0], [-0.5, -0.45, 0.1, 0.5, 0.62, 0.66]),
    "cap": ([-1, 0.0, 1.0], [0.0, 0.15, 0.42]),
    "bald": ([-1, -0.2, 0.0, 0.2, 1.0], [-0.45, -0.3, 0.3, 2.0, 2.0]),
}


def draw_head(canvas: Canvas, body: Body, build: Build, look: Look, *, camera: Camera, parts: dict[str, int]) -> Float[np.ndarray, " 4"]:
    """Draw the head; returns its tight box in the image (x1, y1, x2, y2), chin to crown."""
    axes, centre = body.axes["head"], body.points["head"]
    px_per_m = camera.focal / max(float(centre[2]), 0.1) * SUPERSAMPLE

    def draw_solid(name: str, place: tuple[float, float, float], radii: np.ndarray, paint: Callable[[np.ndarray], np.ndarray]) -> None:
        at = centre + axes @ (np.asarray(place) * build.head)
        flat = canvas.from_image(camera.project(at))
        shape = Ellipsoid(np.array([flat[0], flat[1], at[2]]), radii * build.head, axes, px_per_m)
        draw_ellipsoid(canvas, shape, paint, parts[name])

    draw_solid("head", (0, 0, 0), np.ones(3), lambda q: _paint_skull(q, look))
    if look.hair == "long":
        draw_solid("hair", (0, -0.55, -0.45), np.array([0.98, 0.95, 0.6]), lambda q: _strands(q, look.hair_colour))
    elif look.hair == "bun":
        draw_solid("hair", (0, 0.55, -0.95), np.full(3, 0.42), lambda q: _strands(q, look.hair_colour))
    elif look.hair == "cap":
        draw_solid("hair", (0, 0.42, 0.95), np.array([0.72, 0.1, 0.62]), lambda q: _strands(q, look.hair_colour * 0.85))
    if look.hair != "long":
        for name, sign in (("left_ear", 1.0), ("right_ear", -1.0)):
            draw_solid(name, (sign * 0.98, -0.02, -0.08), np.array([0.13, 0.24, 0.17]), lambda q: _flat(q, look.skin * 0.93))
    bridge, tip = (centre + axes @ (np.asarray(place) * build.head) for place in ((0, 0.12, 0.95), (0, -0.14, 1.04)))
    ends = canvas.from_image(camera.project(np.stack([bridge, tip])))
    radii = np.array([0.08, 0.17]) * build.head[0] * px_per_m
    start, end = np.array([*ends[0], bridge[2]]), np.array([*ends[1], tip[2]])
    nose = Tube(start, end, np.maximum(radii, 0.7), float(0.15 * build.head[2]), px_per_m)
    draw_tube(canvas, nose, lambda t, lateral, tube: _flat(t, np.minimum(look.skin * 1.04 + 4, 255)), parts["nose"])
    reach = np.sqrt(((axes * build.head) ** 2).sum(axis=1))[:2] * px_per_m / SUPERSAMPLE
    middle = camera.project(centre)
    return np.concatenate([middle - reach, middle + reach])


def _flat(points: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(colour, np.float32), (len(points), 3))


def _strands(q: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Hair: the colour with fine streaks."""
    streak = np.float32(1) + np.float32(0.16) * np.sin(q[:, 0] * 19 + q[:, 2] * 11)
    return streak[:, None] * colour


def _paint_skull(q: np.ndarray, look: Look) -> np.ndarray:
    """Colours on the unit sphere of the head (x left, y up, z front)."""
    x, y, z = q[:, 0], q[:, 1], q[:, 2]
    colours = np.empty((len(q), 3), np.float32)
    colours[:] = look.skin
    front = z > 0.25
    aside = np.abs(x)
    if look.beard:
        colours[front & (y < -0.32) | (front & (y < -0.1) & (aside > 0.62))] = look.hair_colour * 0.9
    cheek = front & (((aside - 0.45) / 0.22) ** 2 + ((y + 0.22) / 0.18) ** 2 < 1)
    colours[cheek] *= np.array([1.03, 0.93, 0.92], np.float32)
    colours[front & ((x / 0.32) ** 2 + ((y + 0.52) / 0.09) ** 2 < 1)] = (168, 72, 70)
    brow = front & (((aside - 0.40) / 0.25) ** 2 + ((y - 0.385) / 0.055) ** 2 < 1)
    colours[brow] = (40, 30, 25) if look.hair == "cap" else look.hair_colour * 0.6
    eye = front & (((aside - 0.40) / 0.22) ** 2 + ((y - 0.12) / 0.125) ** 2 < 1)
    colours[eye] = (246, 246, 244)
    colours[eye & (((aside - 0.40) / 0.115) ** 2 + ((y - 0.12) / 0.125) ** 2 < 1)] = look.eye_colour
    if look.glasses:
        ring = ((aside - 0.40) / 0.30) ** 2 + ((y - 0.10) / 0.24) ** 2
        colours[front & (ring > 0.72) & (ring < 1.25)] = 30
    line_z, line_y = HAIRLINE[look.hair]
    covered = y > np.interp(z, line_z, line_y)
    colours[covered] = _strands(q[covered], look.hair_colour)
    return colours
