from __future__ import annotations

import pytest
import torch

from poseline.codecs.gaussians import draw_heatmaps
from poseline.codecs.peaks import dark_offset, find_peaks, gather_patches, quarter_offset


def test_peak_is_the_first_in_row_order() -> None:
    maps = torch.zeros(1, 1, 4, 5)
    maps[0, 0, 2, 1] = maps[0, 0, 1, 3] = maps[0, 0, 1, 4] = 0.5
    cells, values = find_peaks(maps)
    assert (cells.tolist(), values.tolist()) == ([[[3, 1]]], [[0.5]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_peak_of_every_type(dtype: torch.dtype) -> None:
    maps = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    cells, values = find_peaks(maps)
    assert torch.equal(values, maps.amax(dim=(2, 3)))
    assert torch.equal(maps[0, 0, cells[0, 0, 1], cells[0, 0, 0]], values[0, 0])


def test_nothing_above_zero_is_at_the_origin_with_its_score() -> None:
    cells, values = find_peaks(torch.full((1, 1, 3, 3), -0.25))
    assert (cells.tolist(), values.tolist()) == ([[[0, 0]]], [[-0.25]])


def test_no_people() -> None:
    cells, values = find_peaks(torch.zeros(0, 17, 64, 48))
    assert (cells.shape, values.shape) == ((0, 17, 2), (0, 17))
    assert dark_offset(torch.zeros(0, 17, 64, 48), cells, 11).shape == (0, 17, 2)


def test_patch_is_cut_around_its_cell() -> None:
    maps = torch.arange(20.0).view(1, 1, 4, 5)
    assert gather_patches(maps, torch.tensor([[[3, 2]]]), 1)[0, 0].tolist() == [[7, 8, 9], [12, 13, 14], [17, 18, 19]]


@pytest.mark.parametrize(
    ("cell", "published", "unbiased"),
    [
        ((4, 4), (0.25, 0.25), (0.25, 0.25)),
        ((1, 4), (0, 0), (0.25, 0.25)),
        ((6, 4), (0.25, 0.25), (0.25, 0.25)),
        ((7, 4), (0, 0), (0, 0.25)),
    ],
)
def test_quarter_steps_uphill_inside_the_border(
    cell: tuple[int, int], published: tuple[float, float], unbiased: tuple[float, float]
) -> None:
    ramp = (torch.arange(8.0) + torch.arange(8.0)[:, None]).view(1, 1, 8, 8)
    cells = torch.tensor([[cell]])
    assert quarter_offset(ramp, cells, geometry="published")[0, 0].tolist() == list(published)
    assert quarter_offset(ramp, cells)[0, 0].tolist() == list(unbiased)


@pytest.mark.parametrize("kernel", [3, 7, 11, 17])
@pytest.mark.parametrize("point", [(20.37, 30.81), (0.2, 0.4), (46.9, 62.6), (3.3, 1.6)])
def test_dark_finds_a_gaussians_centre(kernel: int, point: tuple[float, float]) -> None:
    maps, _ = draw_heatmaps(torch.tensor([[point]]), torch.ones(1, 1), (48, 64), sigma=2.0, integer_centre=False)
    cells, _ = find_peaks(maps)
    assert (cells + dark_offset(maps, cells, kernel) - torch.tensor(point)).abs().max() < 0.005


def test_dark_takes_no_step_on_a_flat_map() -> None:
    cells = torch.tensor([[[3, 3]]])
    assert dark_offset(torch.ones(1, 1, 8, 8), cells, 7).tolist() == [[[0, 0]]]


def test_dark_is_robust_to_noise() -> None:
    """Under noise of a twentieth of the peak it halves the error at least."""
    rng = torch.Generator().manual_seed(3)
    points = torch.rand(64, 17, 2, generator=rng) * torch.tensor([40.0, 56.0]) + 4
    maps, _ = draw_heatmaps(points, torch.ones(64, 17), (48, 64), sigma=2.0, integer_centre=False)
    maps = maps + 0.05 * torch.randn(maps.shape, generator=rng)
    cells, _ = find_peaks(maps)
    refined = cells + dark_offset(maps, cells, 11)
    assert (refined - points).norm(dim=-1).mean() < 0.5 * (cells - points).norm(dim=-1).mean()
