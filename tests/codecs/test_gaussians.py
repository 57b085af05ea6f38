from __future__ import annotations

import pytest
import torch

from poseline.codecs.gaussians import draw_heatmaps, draw_profiles

WH = (48, 64)


def draw(x: float, y: float, weight: float = 1.0, *, integer: bool = True) -> tuple[torch.Tensor, float]:
    centre = torch.tensor([[[x, y]]], dtype=torch.float32)
    maps, weights = draw_heatmaps(centre, torch.tensor([[weight]]), WH, sigma=2.0, integer_centre=integer)
    return maps[0, 0], weights.item()


def test_integer_gaussian_is_thirteen_cells_wide_with_peak_one() -> None:
    values, weight = draw(20.3, 30.6)
    assert weight == 1
    assert values[31, 20] == 1
    assert int((values > 0).sum()) == 13 * 13
    assert values[31 + 6, 20 - 6].item() == pytest.approx(torch.exp(torch.tensor(-72 / 8)).item())


def test_subpixel_gaussian_is_the_formula() -> None:
    values, _ = draw(20.3, 30.6, integer=False)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    torch.testing.assert_close(values, torch.exp(-((x - 20.3) ** 2 + (y - 30.6) ** 2) / 8))


@pytest.mark.parametrize(
    ("x", "kept"), [(-6.0, True), (-7.4, True), (-8.4, True), (-8.6, False), (53.4, True), (53.6, False)]
)
def test_a_patch_that_misses_the_map_loses_its_weight(x: float, kept: bool) -> None:
    values, weight = draw(x, 30)
    assert weight == float(kept)
    assert kept or values.sum() == 0


def test_unlabelled_keypoints_are_not_drawn() -> None:
    values, weight = draw(20, 30, weight=0.0)
    assert (values.sum().item(), weight) == (0, 0)


def test_profiles_have_the_grids_lengths() -> None:
    columns, rows, _ = draw_profiles(torch.zeros(2, 3, 2), torch.ones(2, 3), (5, 7), sigma=1.0, integer_centre=False)
    assert (columns.shape, rows.shape) == ((2, 3, 5), (2, 3, 7))
