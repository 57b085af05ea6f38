"""Gaussian heat maps, drawn as outer products of two short vectors."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.constants import constant


def gaussian_radius(sigma: float) -> int:
    """Cells on each side of the centre that are drawn: three standard deviations.

    >>> gaussian_radius(2.0)
    6
    """
    return math.floor(3 * sigma)


def draw_profiles(
    centres: Float[Tensor, "B K 2"],
    weights: Float[Tensor, "B K"],
    grid_wh: tuple[int, int],
    *,
    sigma: float,
    integer_centre: bool,
) -> tuple[Float[Tensor, "B K w"], Float[Tensor, "B K h"], Float[Tensor, "B K"]]:
    """Gaussians of peak 1 along x and along y, and the weights with those set to 0 whose patch misses the grid.

    Args:
        centres: grid coordinates.
        weights: keypoints of weight 0.5 or less are not drawn.
        grid_wh: cells along x and y.
        sigma: cells.
        integer_centre: draw around the nearest cell and only within three standard deviations, as the older published
            networks were trained; otherwise around the point itself, uncut, so that decoding finds it again.
    """
    radius = gaussian_radius(sigma)
    cells = torch.trunc(centres + 0.5)  # towards 0, as the published int(): a point at -0.6 counts to cell 0
    size = constant(grid_wh, centres.device)
    reaches = ((cells - radius < size) & (cells + radius + 1 >= 0)).all(dim=-1)
    weights = weights * reaches
    drawn = (weights > 0.5)[..., None]
    middle = cells if integer_centre else centres

    def profile(axis: int) -> Float[Tensor, "B K length"]:
        distance = torch.arange(grid_wh[axis], device=centres.device, dtype=centres.dtype) - middle[..., axis, None]
        # The floor keeps products of two profiles out of the denormal range, which is a hundred times slower.
        values = (distance.square() / (-2 * sigma**2)).clamp(min=-40).exp() * drawn
        return values * (distance.abs() <= radius) if integer_centre else values

    return profile(0), profile(1), weights


def draw_heatmaps(
    centres: Float[Tensor, "B K 2"],
    weights: Float[Tensor, "B K"],
    heatmap_wh: tuple[int, int],
    *,
    sigma: float,
    integer_centre: bool,
) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B K"]]:
    """Heat maps with one Gaussian of peak 1 each, and their weights; arguments as of :func:`draw_profiles`."""
    columns, rows, weights = draw_profiles(centres, weights, heatmap_wh, sigma=sigma, integer_centre=integer_centre)
    return rows[..., :, None] * columns[..., None, :], weights
