"""COCO scores: what they mean, apart from parity with the official tool (tests/parity/test_coco.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.errors import DataError
from poseline.metrics.average_precision import interpolate_precision
from poseline.metrics.keypoint_ap import METRIC_KEYS, match_coco, score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions


def test_the_truth_as_result_scores_one(draw_set):
    ground_truth, _ = draw_set(0, crowds=False)
    labelled = np.flatnonzero(~ground_truth.ignored)
    perfect = Predictions.from_arrays(
        ground_truth,
        ground_truth.image_ids[ground_truth.image_index[labelled]],
        keypoints=ground_truth.keypoints[labelled],
        scores=np.ones(len(labelled)),
    )
    score = score_coco(ground_truth, perfect)
    assert tuple(score.metrics) == METRIC_KEYS
    assert set(score.metrics.values()) == {1.0}
    assert score.pr_curves.shape == (10, 101)


def test_order_of_detections_and_people_does_not_matter(draw_set):
    ground_truth, predictions = draw_set(3)
    shuffle = np.random.default_rng(0).permutation(len(predictions))
    shuffled = Predictions(
        *(getattr(predictions, name)[shuffle] for name in ("image_index", "keypoints", "keypoint_scores", "scores", "area"))
    )
    assert score_coco(ground_truth, shuffled).metrics == score_coco(ground_truth, predictions).metrics


def test_a_false_detection_of_low_score_costs_nothing_and_of_high_score_does(draw_set):
    ground_truth, predictions = draw_set(3, images=5)
    base = score_coco(ground_truth, predictions).metrics["ap"]

    def with_stray(score: float) -> float:
        stray = Predictions.from_arrays(ground_truth, ground_truth.image_ids[:1], keypoints=np.full((1, 17, 2), 5000.0), scores=[score])
        joined = [np.concatenate([getattr(predictions, n), getattr(stray, n)]) for n in ("image_index", "keypoints", "keypoint_scores")]
        both = Predictions(*joined, np.append(predictions.scores, score), np.append(predictions.area, 1000.0))
        return score_coco(ground_truth, both).metrics["ap"]

    assert with_stray(-1.0) == base
    assert with_stray(2.0) < base


def test_matches_name_the_people_found(draw_set):
    ground_truth, predictions = draw_set(4)
    matches = score_coco(ground_truth, predictions).matches
    assert matches.num_people[0].sum() == (~ground_truth.ignored).sum()
    slices, rows, _ = np.nonzero(matches.matched)
    found = matches.ground_truth_index[matches.matched]
    assert (ground_truth.image_index[found] == matches.image_index[rows]).all()
    assert set(slices.tolist()) == {0, 1, 2}


def test_areas_without_members_have_no_value(draw_set):
    ground_truth, predictions = draw_set(5)
    small = replace(ground_truth, area=np.full(len(ground_truth), 50.0))
    metrics = score_coco(small, predictions).metrics
    assert metrics["ap_medium"] is None
    assert metrics["ar_large"] is None
    assert metrics["ap"] is not None


def test_wrong_number_of_sigmas(draw_set):
    ground_truth, predictions = draw_set(1)
    with pytest.raises(ValueError, match="expected 17, one a keypoint"):
        match_coco(ground_truth, predictions, sigmas=np.ones(14))


def test_arrays_are_checked():
    with pytest.raises(DataError, match="image_id 7"):
        GroundTruth.from_arrays(
            [1], [7], keypoints=np.zeros((1, 1, 2)), visibility=np.ones((1, 1), int), area=np.ones(1), bbox_xywh=np.ones((1, 4))
        )
    ground_truth = GroundTruth.from_arrays(
        [1], [1], keypoints=np.zeros((1, 1, 2)), visibility=np.ones((1, 1), int), area=np.ones(1), bbox_xywh=np.ones((1, 4))
    )
    with pytest.raises(DataError, match="finite"):
        Predictions.from_arrays(ground_truth, [1], keypoints=np.zeros((1, 1, 2)), scores=[np.nan])
    with pytest.raises(DataError, match="1 images are not in the ground truth"):
        Predictions.from_arrays(ground_truth, [2], keypoints=np.zeros((1, 1, 2)), scores=[1.0])


def test_precision_without_a_hit_is_zero():
    curve, recall = interpolate_precision(np.zeros(3, bool), np.ones(3, bool), 2)
    assert (curve.max(), recall) == (0.0, 0.0)
