"""Reliability of scores and expected-OKS rescoring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.core.skeletons import load_skeleton
from poseline.errors import ArtifactError, DataError
from poseline.evaluation.calibration import measure_keypoints, measure_poses, measure_reliability
from poseline.evaluation.diagnosis import best_oks, diagnose
from poseline.evaluation.expected_oks import compare_rescoring, fit_expected_oks, rescore
from poseline.infer.expected_oks import ExpectedOks
from poseline.metrics.keypoint_types import GroundTruth, Predictions


@pytest.fixture(scope="module")
def scored(draw_set) -> tuple[GroundTruth, Predictions]:
    """Poses whose keypoint scores tell how good they are, and whose pose scores do not."""
    ground_truth, predictions = draw_set(5, images=150, crowds=False)
    rng = np.random.default_rng(0)
    oks = best_oks(ground_truth, predictions)
    scores = np.clip(oks[:, None] + rng.normal(0, 0.15, (len(predictions), 17)), 0, 1)
    return ground_truth, replace(predictions, keypoint_scores=scores, scores=rng.random(len(predictions)))


def test_reliability_of_scores_that_keep_their_promise():
    rng = np.random.default_rng(0)
    scores = rng.random(50_000)
    curve = measure_reliability(scores, rng.random(50_000) < scores)
    assert curve.ece < 0.01
    assert max(abs(entry.score - entry.outcome) for entry in curve.bins) < 0.02
    assert sum(entry.count for entry in curve.bins) == 50_000


def test_reliability_of_scores_that_do_not():
    assert measure_reliability(np.ones(10), np.zeros(10)).ece == 1.0
    curve = measure_reliability(np.array([0.05]), np.array([0.0]), bins=4)
    assert all(entry.score is None for entry in curve.bins[1:])
    assert measure_reliability(np.zeros(0), np.zeros(0)).ece == 0.0


def test_best_oks_looks_at_labelled_people_of_the_same_picture(scored):
    ground_truth, predictions = scored
    oks = best_oks(ground_truth, predictions)
    nobody = replace(ground_truth, num_keypoints=np.zeros(len(ground_truth), dtype=int))
    assert best_oks(nobody, predictions).max() == 0.0
    assert 0 < oks.mean() < 1


def test_rescoring_raises_ap_on_other_pictures(scored):
    ground_truth, predictions = scored
    fit = ground_truth.image_index < 75
    held_out = ground_truth.image_index >= 75

    def part(people: np.ndarray, poses: np.ndarray) -> tuple[GroundTruth, Predictions]:
        fields = ("image_index", "keypoints", "keypoint_scores", "scores", "area")
        chosen = Predictions(*(getattr(predictions, name)[poses] for name in fields))
        return replace(ground_truth, num_keypoints=np.where(people, ground_truth.num_keypoints, 0)), chosen

    model = fit_expected_oks(*part(fit, predictions.image_index < 75))
    before, after = compare_rescoring(*part(held_out, predictions.image_index >= 75), model)
    assert after > before + 0.1
    test_truth, test_results = part(held_out, predictions.image_index >= 75)
    assert measure_poses(test_truth, rescore(test_results, model)).ece < measure_poses(test_truth, test_results).ece


def test_model_round_trip(scored):
    model = fit_expected_oks(*scored)
    assert ExpectedOks.from_dict(model.to_dict()) == model
    with pytest.raises(ArtifactError, match="'spread' is missing"):
        ExpectedOks.from_dict({"weights": [], "mean": []})
    with pytest.raises(ArtifactError, match="1 features, expected 6"):
        ExpectedOks.from_dict({"weights": [1, 2], "mean": [1], "spread": [1]})


def test_too_few_detections(scored):
    ground_truth, predictions = scored
    few = Predictions(*(getattr(predictions, name)[:5] for name in ("image_index", "keypoints", "keypoint_scores", "scores", "area")))
    with pytest.raises(DataError, match="5 detections to fit"):
        fit_expected_oks(ground_truth, few)


def test_keypoint_reliability(scored):
    ground_truth, predictions = scored
    diagnosis = diagnose(ground_truth, predictions, flip_permutation=load_skeleton("coco17").flip_permutation)
    honest = measure_keypoints(predictions, diagnosis)
    boasting = measure_keypoints(replace(predictions, keypoint_scores=np.ones_like(predictions.keypoint_scores)), diagnosis)
    assert 0 <= honest.ece < boasting.ece
