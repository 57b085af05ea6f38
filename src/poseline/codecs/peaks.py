"""Peaks of heat maps: the largest cell, and two ways to a part of a cell."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from poseline.codecs.constants import constant
from poseline.core.geometry import Geometry

_LOG_FLOOR = 1e-6
_DIFFERENCES = (
    (0.0, 0.0, 0.0, -0.5, 0.0, 0.5, 0.0, 0.0, 0.0),
    (0.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0),
    (0.0, 0.0, 0.0, 1.0, -2.0, 1.0, 0.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, -2.0, 0.0, 0.0, 1.0, 0.0),
    (0.25, 0.0, -0.25, 0.0, 0.0, 0.0, -0.25, 0.0, 0.25),
)
"""First and second derivatives (x, y, xx, yy, xy) of a 3x3 stencil in row order, by central differences."""


def find_peaks(heatmaps: Float[Tensor, "B K h w"]) -> tuple[Int[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Column and row of each map's first largest cell in row order, and its value; (0, 0) where no value exceeds 0."""
    width = heatmaps.shape[-1]
    flat = heatmaps.flatten(2)
    index = argmax_last(flat)
    values = flat.gather(2, index[..., None]).squeeze(2)
    cells = torch.stack([index % width, index // width], dim=-1)
    return cells * (values > 0)[..., None], values


def argmax_last(values: Float[Tensor, "*rest n"]) -> Int[Tensor, "*rest"]:
    """Index of the first largest value along the last axis."""
    if values.device.type == "cpu" and values.dtype == torch.float32 and not torch.compiler.is_compiling():
        # NumPy's arg-maximum is vectorised, ten times as fast as torch's on one core; a graph that is exported cannot hold it.
        return torch.from_numpy(np.asarray(values.detach().numpy().argmax(axis=-1)))
    return values.argmax(dim=-1)


def locate_vertices(values: Float[Tensor, "*rest n"]) -> Float[Tensor, "*rest"]:
    """Position of the vertex of the parabola through the largest value and its neighbours, for n of at least 3.

    At an end the parabola goes through the last three values; where they are not concave, the position is the index.

    >>> locate_vertices(torch.tensor([0.0, 3.0, 4.0, 3.0, 0.0])).item(), locate_vertices(torch.tensor([4.0, 3.0, 0.0])).item()
    (2.0, 0.0)
    >>> locate_vertices(torch.tensor([0.0, 2.0, 2.0, 0.0])).item()
    1.5
    """
    index = argmax_last(values)
    centre = index.clamp(1, values.shape[-1] - 2)
    before, middle, after = (values.gather(-1, (centre + step)[..., None]).squeeze(-1) for step in (-1, 0, 1))
    curvature = 2 * middle - before - after
    vertex = centre + ((after - before) / (2 * curvature)).clamp(-1, 1)
    return vertex.where(curvature > 0, index.to(vertex.dtype))


def mass_near(mass: Float[Tensor, "*rest n"], places: Int[Tensor, "*rest"], *, reach: int) -> Float[Tensor, "*rest"]:
    """How much of each distribution lies within ``reach`` cells of a place.

    >>> round(mass_near(torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]), torch.tensor(3), reach=1).item(), 4)
    0.7
    """
    cells = places[..., None] + torch.arange(-reach, reach + 1, device=mass.device)
    inside = (cells >= 0) & (cells < mass.shape[-1])
    return (mass.gather(-1, cells.clamp(0, mass.shape[-1] - 1)) * inside).sum(dim=-1).clamp(0, 1)


def gather_patches(
    heatmaps: Float[Tensor, "B K h w"], centres: Int[Tensor, "B K 2"], radius: int
) -> Float[Tensor, "B K side side"]:
    """Square cut-outs of side 2 radius + 1 around cells; what lies beyond the border has arbitrary values of the map."""
    height, width = heatmaps.shape[-2:]
    steps = torch.arange(-radius, radius + 1, device=heatmaps.device)
    offsets = (steps[:, None] * width + steps).flatten()
    index = ((centres[..., 1] * width + centres[..., 0])[..., None] + offsets).clamp_(0, height * width - 1)
    patches = heatmaps.flatten(2).gather(2, index)
    return patches.view(*patches.shape[:2], len(steps), len(steps))


def quarter_offset(
    heatmaps: Float[Tensor, "B K h w"], cells: Int[Tensor, "B K 2"], *, geometry: Geometry = "unbiased"
) -> Float[Tensor, "B K 2"]:
    """A quarter of a cell towards the higher neighbour on each axis; none for a peak at the border.

    The published border is two cells wide on the low sides and one on the high, and stops both axes.

    Reference:
        Newell et al., Stacked Hourglass Networks, ECCV 2016; the published border is simple-baselines'.
    """
    height, width = heatmaps.shape[-2:]
    patch = gather_patches(heatmaps, cells, 1)
    slopes = torch.stack([patch[..., 1, 2] - patch[..., 1, 0], patch[..., 2, 1] - patch[..., 0, 1]], dim=-1)
    size = constant([width, height], cells.device, torch.int64)
    inside = (cells > (1 if geometry == "published" else 0)) & (cells < size - 1)
    if geometry == "published":
        inside = inside.all(dim=-1, keepdim=True)
    return 0.25 * torch.sign(slopes) * inside


def dark_offset(heatmaps: Float[Tensor, "B K h w"], cells: Int[Tensor, "B K 2"], kernel: int) -> Float[Tensor, "B K 2"]:
    """The Newton step from a cell to the maximum of the map's logarithm, after a blur around the peak only.

    Near the border the blur narrows to what the map holds on both sides, and the three-by-three stencil moves inside;
    a logarithm that is not concave there gives no step.

    Args:
        heatmaps: raw maps.
        cells: the peaks.
        kernel: odd side of the Gaussian blur, cells.

    Reference:
        Zhang et al., Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR 2020; the local
        form of Huang et al., The Devil is in the Details, CVPR 2020.
    """
    height, width = heatmaps.shape[-2:]
    reach = kernel // 2
    last = constant([width - 2, height - 2], cells.device, torch.int64)
    centres = cells.clamp(min=1).minimum(last)
    room = (centres - 1).minimum(last - centres).clamp(max=reach)
    patches = gather_patches(heatmaps, centres, reach + 1).float()
    stencils = _blur_stencils(reach, heatmaps.device)
    blurred = stencils[room[..., 1]] @ patches @ stencils[room[..., 0]].transpose(-1, -2)
    step = _newton_step(blurred.clamp(min=_LOG_FLOOR).log())
    return step + (centres - cells)


@lru_cache(maxsize=16)
def _blur_stencils(reach: int, device: torch.device) -> Float[Tensor, "rooms 3 side"]:
    """Blur weights of the three stencil cells over a patch, for a blur cut at 0, 1, ... ``reach`` cells to each side."""
    sigma = 0.3 * (reach - 1) + 0.8  # OpenCV's rule for a kernel of this side, as DARK has it
    steps = torch.arange(-reach - 1, reach + 2)
    distance = (steps[None, :] - torch.arange(-1, 2)[:, None]).abs()
    weights = torch.exp(distance.float().square() / (-2 * sigma**2))
    weights = weights * (distance <= torch.arange(reach + 1)[:, None, None])
    return (weights / weights.sum(dim=-1, keepdim=True)).to(device)


def _newton_step(values: Float[Tensor, "B K 3 3"]) -> Float[Tensor, "B K 2"]:
    """From the centre to the maximum of the quadratic through a 3x3 stencil; at most 2 cells, 0 where it has none."""
    derivatives = values.flatten(2) @ torch.tensor(_DIFFERENCES, device=values.device).T
    dx, dy, dxx, dyy, dxy = derivatives.unbind(dim=-1)
    determinant = dxx * dyy - dxy.square()
    concave = (dxx < 0) & (determinant > 1e-9)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1)
    return (step / determinant.where(concave, torch.inf)[..., None]).clamp(-2, 2)
