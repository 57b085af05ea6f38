"""AP by kind of person and image, and by keypoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.datasets.score import SliceRow
from poseline.evaluation.slices import SLICES, crowd_index, match_slices, occluded_fraction, score_keypoints, score_slices
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth


def test_sizes_equal_the_official_numbers_and_people_add_up(draw_set):
    ground_truth, predictions = draw_set(3, images=60)
    matches = match_slices(ground_truth, predictions)
    table, official = score_slices(matches), score_coco(ground_truth, predictions).metrics
    assert tuple(table) == SLICES
    for name, key in (("all", "ap"), ("medium", "ap_medium"), ("large", "ap_large")):
        assert table[name].ap == official[key]
    for family in ("occluded", "people", "crowd"):
        assert sum(entry.num_people for name, entry in table.items() if name.startswith(family)) == table["all"].num_people
    values = matches.rate(np.ones((1, 60), dtype=int), ["ap_people_2_to_4"])
    assert values["ap_people_2_to_4"][0] == table["people_2_to_4"].ap


def test_a_slice_without_people_has_no_value(draw_set):
    ground_truth, predictions = draw_set(3)
    plain = replace(ground_truth, visibility=np.where(ground_truth.visibility > 0, 2, 0).astype(np.uint8))
    table = score_slices(match_slices(plain, predictions))
    assert table["occluded_heavy"] == SliceRow(ap=None, ar=None, num_people=0)
    assert table["occluded_none"].ar == table["all"].ar
    # Detections in images without such people are not held against the slice.
    assert table["occluded_none"].ap >= table["all"].ap


def test_a_worse_slice_is_seen(draw_set, shift_results):
    ground_truth, predictions = draw_set(3, images=60)
    people = np.bincount(ground_truth.image_index[~ground_truth.ignored], minlength=60)
    noise = np.random.default_rng(0).normal(0, 20, predictions.keypoints.shape) * (people >= 5)[predictions.image_index][:, None, None]
    before = score_slices(match_slices(ground_truth, predictions))
    after = score_slices(match_slices(ground_truth, shift_results(ground_truth, predictions, noise)))
    assert after["people_5_up"].ap < before["people_5_up"].ap
    assert after["people_1"] == before["people_1"]


def test_crowd_index():
    square = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    ground_truth = GroundTruth.from_arrays(
        [1, 2], [1, 1, 2], keypoints=np.stack([square, square + np.array([5.0, 0.0]), square]), visibility=np.full((3, 4), 2),
        area=np.full(3, 100.0), bbox_xywh=np.array([[0.0, 0, 10, 10], [5.0, 0, 10, 10], [0.0, 0, 10, 10]]),
    )  # fmt: skip
    assert crowd_index(ground_truth).tolist() == [0.5, 0.0]


def test_occluded_fraction(draw_set):
    ground_truth, _ = draw_set(0)
    flags = np.zeros_like(ground_truth.visibility)
    flags[:3, :4] = [[1, 2, 2, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert occluded_fraction(replace(ground_truth, visibility=flags))[:3].tolist() == [pytest.approx(1 / 3), 0.0, 1.0]


def test_a_spoiled_keypoint_has_the_lowest_score(draw_set):
    ground_truth, predictions = draw_set(4, images=60)
    spoiled = predictions.keypoints.copy()
    spoiled[:, 9] += 40
    names = [f"k{i}" for i in range(17)]
    before = score_keypoints(ground_truth, predictions, names)
    after = score_keypoints(ground_truth, replace(predictions, keypoints=spoiled), names)
    assert after["k9"].ap < 0.5 * before["k9"].ap
    assert min(after, key=lambda name: after[name].oks) == "k9"
    assert after["k3"].ap == before["k3"].ap
    matches = score_coco(ground_truth, predictions).matches
    assert score_keypoints(ground_truth, predictions, names, matches=matches) == before
    with pytest.raises(ValueError, match="match again"):
        score_keypoints(ground_truth, predictions, names, matches=replace(matches, ground_truth_index=None))
