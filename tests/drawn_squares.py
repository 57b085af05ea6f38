"""Frames of bright squares that stand for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIZE_WH = (160, 96)


def draw_frame(t: int, people: Sequence[tuple[int, int, int, int]] = ((5, 10, 2, 0), (100, 40, -1, 1))) -> np.ndarray:
    """RGB frame ``t``: a square a person, which starts at (x, y) and moves by (dx, dy)."""
    image = np.full((SIZE_WH[1], SIZE_WH[0], 3), 20, np.uint8)
    for number, (x, y, dx, dy) in enumerate(people):
        left, top = x + dx * t, y + dy * t
        image[max(top, 0) : top + 30, max(left, 0) : left + 20] = [(255, 60, 60), (60, 255, 60), (60, 60, 255)][number % 3]
    return image
