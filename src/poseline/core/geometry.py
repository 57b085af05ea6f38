"""Maps between pixel grids (image, crop, heat map, bins): the only place that knows where a pixel's centre lies.

An integer coordinate is a pixel centre and an image of width W spans [-0.5, W - 0.5]. Between two grids the first
and last pixel centres correspond ("unbiased", the UDP rule): x' = x (W' - 1) / (W - 1). It commutes with the flip
x -> W - 1 - x. The "published" rule x' = x W' / W of older published networks does not, and is kept for their weights.

Reference:
    Huang et al., The Devil is in the Details: Delving into Unbiased Data Processing, CVPR 2020.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

Geometry = Literal["unbiased", "published"]


def grid_scale(from_wh: tuple[int, int], to_wh: tuple[int, int], *, geometry: Geometry = "unbiased") -> tuple[float, float]:
    """Factors (x, y) from the coordinates of one grid to those of another that shows the same image.

    >>> grid_scale((192, 256), (48, 64), geometry="published")
    (0.25, 0.25)
    """
    if geometry == "published":
        return to_wh[0] / from_wh[0], to_wh[1] / from_wh[1]
    return (to_wh[0] - 1) / max(from_wh[0] - 1, 1), (to_wh[1] - 1) / max(from_wh[1] - 1, 1)


def crop_matrix(
    centre: Float[np.ndarray, " 2"],
    size_wh: Float[np.ndarray, " 2"],
    input_wh: tuple[int, int],
    *,
    rotation_deg: float = 0.0,
    geometry: Geometry = "unbiased",
) -> Float[np.ndarray, "2 3"]:
    """Affine matrix that takes image points to crop points.

    Args:
        centre: middle of the crop in the image, pixels.
        size_wh: extent of the crop in the image, pixels; its aspect is the input's.
        input_wh: the crop's width and height in pixels.
        rotation_deg: the image region is rotated counter-clockwise by this angle (a point above the centre moves left).
        geometry: ``unbiased`` spreads the extent over the W - 1 steps between pixel centres; ``published`` over W.

    >>> crop_matrix(np.array([50.0, 50.0]), np.array([20.0, 20.0]), (41, 41)).round(6).tolist()
    [[2.0, 0.0, -80.0], [-0.0, 2.0, -80.0]]
    """
    width, height = input_wh
    steps = width if geometry == "published" else width - 1
    middle = np.array([width, height]) * 0.5 if geometry == "published" else np.array([width - 1, height - 1]) * 0.5
    # Only the width sets the scale: the aspect was fixed by the caller, so one factor serves both axes.
    scale = steps / float(size_wh[0])
    angle = np.deg2rad(rotation_deg)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, sin], [-sin, cos]])
    offset = middle - linear @ np.asarray(centre, dtype=np.float64)
    return np.concatenate([linear, offset[:, None]], axis=1)


def warp_points(points: Float[np.ndarray, "... 2"], matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "... 2"]:
    """Points under an affine matrix, float32.

    >>> warp_points(np.array([[1.0, 1.0]]), np.array([[2.0, 0, 1], [0, 2, 0]])).tolist()
    [[3.0, 2.0]]
    """
    points = np.asarray(points, dtype=np.float64)
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def invert_matrix(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """The affine matrix of the inverse map."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -(linear @ matrix[:, 2:])], axis=1)


def flip_points(points: Float[np.ndarray, "... 2"], width: int) -> Float[np.ndarray, "... 2"]:
    """Points of the flipped grid: x -> W - 1 - x. Left and right keypoints are not swapped here.

    >>> flip_points(np.array([[0.0, 5.0]]), 10).tolist()
    [[9.0, 5.0]]
    """
    flipped = np.array(points, copy=True)
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped
