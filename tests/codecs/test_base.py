from __future__ import annotations

import numpy as np
import pytest
import torch

from poseline.codecs.base import Targets, average_outputs, flip_bins, pck_accuracy


def test_targets_move_whole() -> None:
    targets = Targets((torch.zeros(1, 2, 3), torch.zeros(1, 2, 4)), torch.ones(1, 2)).to("meta")
    assert [value.device.type for value in targets.values] == ["meta", "meta"]
    assert targets.weights.device.type == "meta"


def test_average_of_pairs() -> None:
    mean = average_outputs((torch.zeros(2), torch.ones(3)), (torch.ones(2), torch.ones(3)))
    assert [value.tolist() for value in mean] == [[0.5, 0.5], [1, 1, 1]]


@pytest.mark.parametrize(
    ("bins", "geometry", "wanted"),
    [(4, "unbiased", [3, 2, 1, 0]), (4, "published", [3, 3, 2, 1]), (32, "published", [*range(30, -1, -1), 0])],
)
def test_mirror_moves_by_the_grids_offset(bins: int, geometry: str, wanted: list[float]) -> None:
    maps = torch.arange(float(bins)).view(1, 1, bins)
    assert flip_bins(maps, np.array([0]), from_width=16, geometry=geometry)[0, 0].tolist() == wanted


def test_mirror_swaps_left_and_right() -> None:
    maps = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert flip_bins(maps, np.array([0, 2, 1]), from_width=1, geometry="unbiased").flatten().tolist() == [1, 3, 2]


def test_accuracy_is_a_mean_over_keypoints_that_occur() -> None:
    labelled = torch.tensor([[[10.0, 10], [20, 20], [0, 0]], [[10, 10], [0, 0], [0, 0]]])
    predicted = labelled.clone()
    predicted[1, 0, 0] += 2.5  # past 2.4 = half of a tenth of 48
    assert pck_accuracy(predicted, labelled, (48, 64)).item() == pytest.approx((0.5 + 1.0) / 2)


def test_accuracy_counts_neither_the_border_nor_nothing() -> None:
    assert pck_accuracy(torch.full((1, 1, 2), 1.0), torch.full((1, 1, 2), 1.0), (48, 64)).item() == 0
