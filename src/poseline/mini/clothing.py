"""Paints of body parts: bare skin, sleeves and legs of clothes, a shirt whose front differs from its back, shoes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from poseline.mini.look import Cloth, Look
from poseline.mini.raster import Paint, Tube

FRONT = np.pi / 2


def paint_plain(cloth: Cloth, length_m: float) -> Paint:
    """A part wholly covered by one fabric."""
    return lambda t, lateral, tube: cloth.paint(t * np.float32(length_m), tube.angles(lateral))


def paint_bare_or_cloth(
    skin: Float[np.ndarray, " 3"], cloth: Cloth | None, covered: float, length_m: float, *, sock: Float[np.ndarray, " 3"] | None = None
) -> Paint:
    """A limb that the fabric covers down to the fraction ``covered``; below it bare, with a sock at the end."""

    def paint(t: np.ndarray, lateral: np.ndarray, tube: Tube) -> np.ndarray:
        if cloth is not None and covered >= 1:
            return cloth.paint(t * np.float32(length_m), tube.angles(lateral))
        colours = np.empty((len(t), 3), np.float32)
        colours[:] = skin
        if sock is not None:
            colours[t > 0.82] = sock
        if cloth is not None and covered > 0:
            under = t < covered
            colours[under] = cloth.paint(t[under] * np.float32(length_m), tube.angles(lateral[under]))
            # The hem throws a thin shadow, which marks where a sleeve ends.
            colours[under & (t > covered - 0.05)] *= 0.8
        return colours

    return paint


def paint_foot(shoe: Float[np.ndarray, " 3"]) -> Paint:
    """A shoe with a light toe cap, so that its direction shows."""

    def paint(t: np.ndarray, lateral: np.ndarray, tube: Tube) -> np.ndarray:
        colours = np.empty((len(t), 3), np.float32)
        colours[:] = shoe
        colours[t > 0.72] = shoe * 0.4 + 140
        return colours

    return paint


def paint_torso(look: Look, *, low: float, height: float, top: float) -> Paint:
    """The shirt of a trunk part that starts ``low`` metres over the waist; buttons, zip, collar and straps go by the angle."""

    def paint(t: np.ndarray, lateral: np.ndarray, tube: Tube) -> np.ndarray:
        angle = tube.angles(lateral)
        up = np.float32(low) + t * np.float32(height)
        colours = look.shirt.paint(up, angle)
        off = np.abs(np.mod(angle - np.float32(FRONT) + np.float32(np.pi), np.float32(2 * np.pi)) - np.float32(np.pi))
        _decorate_front(colours, look, up, off, top)
        if look.backpack:
            side = np.abs(off - 0.75)
            colours[(side < 0.16) & (up > top * 0.1)] = look.accent * 0.8
        return colours

    return paint


def _decorate_front(colours: np.ndarray, look: Look, up: np.ndarray, off: np.ndarray, top: float) -> None:
    """Paint what only the chest side shows; ``off`` is the angle from the middle of the front."""
    neckline = off < np.maximum(up - top * 0.62, 0) / top * 1.9
    if look.front == "buttons":
        colours[(off < 0.11)] = look.accent
    elif look.front == "zip":
        colours[off < 0.16] = look.accent
        colours[off < 0.05] = 225
    elif look.front == "logo":
        colours[(off < 0.55) & (np.abs(up - top * 0.45) < 0.075)] = look.accent
    elif look.front == "tie":
        colours[(off < 0.45) & (up > top * 0.1)] = 232
        colours[(off < 0.13)] = look.accent
    elif look.front == "bib":
        colours[(off < 0.95) & (up < top * 0.55)] = look.accent
    if look.front in ("neck", "buttons", "logo", "bib", "tie"):
        colours[neckline] = look.skin
