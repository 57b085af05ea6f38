"""Intervals by resampling images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.errors import DataError
from poseline.evaluation.bootstrap import bootstrap_metrics, compare_tables, draw_weights
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.pckh import DistanceTable, score_pckh


def repeat_pictures(ground_truth: GroundTruth, predictions: Predictions, weights: np.ndarray) -> tuple[GroundTruth, Predictions]:
    """The set in which each image is present as often as its weight, under new ids."""
    copies = [(image, n) for image, count in enumerate(weights) for n in range(count)]
    people = [(new, g) for new, (image, _) in enumerate(copies) for g in np.flatnonzero(ground_truth.image_index == image)]
    poses = [(new, d) for new, (image, _) in enumerate(copies) for d in np.flatnonzero(predictions.image_index == image)]
    g, d = np.array([g for _, g in people]), np.array([d for _, d in poses])
    repeated = GroundTruth.from_arrays(
        np.arange(len(copies)),
        np.array([new for new, _ in people]),
        keypoints=ground_truth.keypoints[g],
        visibility=ground_truth.visibility[g],
        area=ground_truth.area[g],
        bbox_xywh=ground_truth.bbox_xywh[g],
        is_crowd=ground_truth.is_crowd[g],
        num_keypoints=ground_truth.num_keypoints[g],
    )
    found = Predictions.from_arrays(
        repeated, np.array([new for new, _ in poses]), keypoints=predictions.keypoints[d], scores=predictions.scores[d]
    )
    return repeated, found


@pytest.mark.parametrize("seed", range(4))
def test_weights_equal_scoring_the_repeated_pictures(draw_set, seed):
    ground_truth, predictions = draw_set(seed, images=12)
    score = score_coco(ground_truth, predictions)
    weights = draw_weights(12, 3, seed)
    values = score.matches.rate(weights, list(score.metrics))
    for row, weight in enumerate(weights):
        expected = score_coco(*repeat_pictures(ground_truth, predictions, weight)).metrics
        got = {name: None if np.isnan(value[row]) else value[row] for name, value in values.items()}
        assert got == pytest.approx(expected, abs=1e-12)


def test_the_interval_holds_the_score_and_narrows_with_confidence(draw_set):
    ground_truth, predictions = draw_set(1, images=60)
    score = score_coco(ground_truth, predictions)
    low, high = bootstrap_metrics(score.matches, ["ap"], resamples=300, seed=0)["ap"]
    assert 0 <= low < score.metrics["ap"] < high <= 1
    narrow = bootstrap_metrics(score.matches, ["ap"], resamples=300, seed=0, confidence=0.5)["ap"]
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap_metrics(score.matches, ["ap", "ar"], resamples=300, seed=0)["ap"] == (low, high)


def test_a_run_against_itself_differs_by_nothing(draw_set):
    ground_truth, predictions = draw_set(2)
    matches = score_coco(ground_truth, predictions).matches
    result = compare_tables(matches, matches, ["ap"], resamples=50, seed=0)[0]
    assert (result.difference, result.low, result.high, result.standard_error) == (0.0, 0.0, 0.0, 0.0)


def test_the_paired_interval_is_narrower_than_either_runs(draw_set, shift_results):
    ground_truth, predictions = draw_set(1, images=60)
    offset = np.random.default_rng(0).normal(0, 1, predictions.keypoints.shape)
    first, second = score_coco(ground_truth, predictions), score_coco(ground_truth, shift_results(ground_truth, predictions, offset))
    result = compare_tables(first.matches, second.matches, ["ap"], resamples=300, seed=0)[0]
    assert result.difference == pytest.approx(second.metrics["ap"] - first.metrics["ap"], abs=1e-15)
    low, high = bootstrap_metrics(first.matches, ["ap"], resamples=300, seed=0)["ap"]
    assert result.high - result.low < high - low


def test_pckh(draw_set):
    rng = np.random.default_rng(0)
    ground_truth = rng.uniform(0, 100, (50, 16, 2))
    score = score_pckh(ground_truth + rng.normal(0, 10, ground_truth.shape), ground_truth, rng.random((50, 16)) < 0.1, np.full(50, 25.0))
    table = DistanceTable.from_people(rng.integers(0, 20, 50), score.distances)
    ones = np.ones((1, len(table.image_ids)), dtype=int)
    values = table.rate(ones, ["pckh", "pckh_01"])
    assert values["pckh"][0] == score.mean
    assert values["pckh_01"][0] == score.mean_at_01
    low, high = bootstrap_metrics(table, ["pckh"], resamples=200, seed=1)["pckh"]
    assert low < score.mean < high


def test_faults_are_named(draw_set):
    ground_truth, predictions = draw_set(1)
    matches = score_coco(ground_truth, predictions).matches
    with pytest.raises(DataError, match=r"unknown metric 'map'.*ap_medium"):
        matches.rate(draw_weights(30, 1, 0), ["map"])
    with pytest.raises(DataError, match="different images"):
        compare_tables(matches, replace(matches, image_ids=matches.image_ids + 1), ["ap"], resamples=10, seed=0)
    nobody = replace(matches, num_people=np.zeros_like(matches.num_people))
    with pytest.raises(DataError, match="no person is counted"):
        bootstrap_metrics(nobody, ["ap"], resamples=10, seed=0)
    with pytest.raises(DataError, match="unknown metric 'ap'"):
        DistanceTable.from_people(np.array([1]), np.zeros((1, 16))).rate(np.ones((1, 1), int), ["ap"])


def test_draws_repeat_by_seed():
    assert np.array_equal(draw_weights(50, 5, 3), draw_weights(50, 5, 3))
    assert not np.array_equal(draw_weights(50, 5, 3), draw_weights(50, 5, 4))
