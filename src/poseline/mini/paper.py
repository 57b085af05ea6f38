"""An image under construction, which remembers what was drawn last at every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Real, UInt8

from poseline.mini.figure import Figure

_SHIFT = 3
Points: TypeAlias = np.ndarray | Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Paper:
    """Image and ownership, drawn from far to near.

    Attributes:
        image: uint8 [h, w, 3] RGB.
        owner: uint8 [h, w]; the order number of the object on top, 0 for the backdrop.
    """

    image: UInt8[np.ndarray, "h w 3"]
    owner: UInt8[np.ndarray, "h w"]

    @classmethod
    def blank(cls, size_wh: tuple[int, int]) -> Paper:
        """A black image without objects."""
        return cls(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), np.zeros((size_wh[1], size_wh[0]), np.uint8))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def polygon(self, points: Points, colour: Real[np.ndarray, " 3"], number: int = 0) -> None:
        """Fill a polygon; ``number`` > 0 makes it an object that owns its pixels."""
        fixed = np.rint(np.asarray(points, np.float64) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], _tone(colour), cv2.LINE_AA, _SHIFT)
        if number:
            cv2.fillPoly(self.owner, [fixed], number, cv2.LINE_8, _SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Real[np.ndarray, " 3"], number: int = 0) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, number)

    def ellipse(
        self,
        centre: tuple[float, float],
        axes: tuple[float, float],
        colour: Real[np.ndarray, " 3"],
        number: int = 0,
        *,
        angle: float = 0.0,
    ) -> None:
        """Fill an ellipse; axes are half-lengths, angle in degrees."""
        middle = (round(centre[0] * 8), round(centre[1] * 8))
        half = (max(round(axes[0] * 8), 1), max(round(axes[1] * 8), 1))
        cv2.ellipse(self.image, middle, half, angle, 0, 360, _tone(colour), -1, cv2.LINE_AA, _SHIFT)
        if number:
            cv2.ellipse(self.owner, middle, half, angle, 0, 360, number, -1, cv2.LINE_8, _SHIFT)

    def shadow(self, centre: tuple[float, float], axes: tuple[float, float], strength: float) -> None:
        """Darken the ground under an object."""
        width, height = self.size_wh
        x0, x1 = max(int(centre[0] - axes[0]), 0), min(int(centre[0] + axes[0]) + 1, width)
        y0, y1 = max(int(centre[1] - axes[1]), 0), min(int(centre[1] + axes[1]) + 1, height)
        if x1 <= x0 or y1 <= y0:
            return
        away = ((np.arange(x0, x1, dtype=np.float32) - centre[0]) / axes[0])[None, :] ** 2
        away = away + ((np.arange(y0, y1, dtype=np.float32) - centre[1]) / axes[1])[:, None] ** 2
        fade = np.float32(1) - np.float32(strength) * np.clip(np.float32(1) - away, 0, 1)
        self.image[y0:y1, x0:x1] = (self.image[y0:y1, x0:x1] * fade[..., None]).astype(np.uint8)

    def figure(self, figure: Figure, number: int) -> int:
        """Lay a person on the image; returns how many pixels it covers before others come over it."""
        x, y = figure.origin
        height, width = figure.coverage.shape
        region = (slice(y, y + height), slice(x, x + width))
        ground = self.image[region] * (1 - figure.coverage[..., None])
        self.image[region] = (ground + figure.colour + 0.5).astype(np.uint8)
        own = figure.coverage > 0.5
        self.owner[region][own] = number
        return int(own.sum())


def _tone(colour: Real[np.ndarray, " 3"]) -> tuple[float, ...]:
    return tuple(min(max(float(v), 0.0), 255.0) for v in colour)
