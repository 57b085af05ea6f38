"""The diagnosis names what was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.core.skeletons import load_skeleton
from poseline.datasets.score import Score, Stamp
from poseline.evaluation.diagnosis import (
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    SWAP,
    compare_counts,
    correlate_scores,
    diagnose,
    localise,
    rate_gains,
)
from poseline.evaluation.gate import decide
from poseline.evaluation.runs import ScoredRun
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions

SKELETON = load_skeleton("coco17")
FLIP = SKELETON.flip_permutation


def make_pair() -> GroundTruth:
    """One image with two people far enough apart that their keypoints are told apart."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 300, (2, 17, 2)) + np.array([0.0, 400.0])[:, None, None]
    return GroundTruth.from_arrays(
        [1], [1, 1], keypoints=keypoints, visibility=np.full((2, 17), 2), area=np.full(2, 20_000.0),
        bbox_xywh=np.array([[0.0, 0, 300, 300], [400.0, 400, 300, 300]]),
    )  # fmt: skip


def results_of(ground_truth: GroundTruth, keypoints: np.ndarray) -> Predictions:
    people = np.arange(len(keypoints)) % len(ground_truth)
    image_ids = ground_truth.image_ids[ground_truth.image_index[people]]
    return Predictions.from_arrays(ground_truth, image_ids, keypoints=keypoints, scores=np.linspace(1, 0.5, len(people)))


@pytest.fixture
def crowd(draw_set) -> tuple[GroundTruth, Predictions]:
    """Labelled people of 300 images, each found once with a little noise."""
    ground_truth, _ = draw_set(5, images=300, crowds=False)
    chosen = np.flatnonzero(~ground_truth.ignored)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.03, (len(chosen), 17, 2)) * np.sqrt(ground_truth.area[chosen])[:, None, None]
    predictions = Predictions.from_arrays(
        ground_truth,
        ground_truth.image_ids[ground_truth.image_index[chosen]],
        keypoints=ground_truth.keypoints[chosen] + noise,
        scores=rng.random(len(chosen)),
    )
    return ground_truth, predictions


def test_each_kind_is_recognised():
    ground_truth = make_pair()
    points = ground_truth.keypoints.copy()
    points[0, 0] += 4
    points[0, 9] = ground_truth.keypoints[0, 10]
    points[0, 5] = ground_truth.keypoints[1, 5]
    points[0, 13] = ground_truth.keypoints[1, 14]
    points[0, 16] += 5000
    kinds = diagnose(ground_truth, results_of(ground_truth, points), flip_permutation=FLIP).kinds
    assert (kinds[0, 0], kinds[0, 9], kinds[0, 5], kinds[0, 13], kinds[0, 16]) == (JITTER, INVERSION, SWAP, SWAP, MISS)
    assert (kinds[1] == GOOD).all()
    assert kinds[0, 10] == GOOD


def test_unlabelled_keypoints_are_left_out():
    ground_truth = make_pair()
    flags = ground_truth.visibility.copy()
    flags[0, 9] = 0
    diagnosis = diagnose(replace(ground_truth, visibility=flags), results_of(ground_truth, ground_truth.keypoints), flip_permutation=FLIP)
    assert diagnosis.kinds[0, 9] == -1
    assert np.isnan(diagnosis.distance[0, 9])
    assert diagnosis.shares() == {"good": 1.0, "jitter": 0.0, "inversion": 0.0, "swap": 0.0, "miss": 0.0}


def test_background_and_people_not_found():
    ground_truth = make_pair()
    points = ground_truth.keypoints.copy()
    points[1] += 9000
    diagnosis = diagnose(ground_truth, results_of(ground_truth, points), flip_permutation=FLIP)
    assert diagnosis.background.tolist() == [1]
    assert diagnosis.missed.tolist() == [1]
    gains = rate_gains(ground_truth, results_of(ground_truth, points), diagnosis)
    assert gains["missed"] > 0.4
    assert gains["jitter"] == 0.0


def test_duplicates_are_told_from_background():
    ground_truth = make_pair()
    twice = np.concatenate([ground_truth.keypoints, ground_truth.keypoints[:1] + 3, ground_truth.keypoints[:1] + 9000])
    image_ids = np.full(4, 1)
    predictions = Predictions.from_arrays(ground_truth, image_ids, keypoints=twice, scores=[0.6, 0.5, 0.9, 0.8])
    diagnosis = diagnose(ground_truth, predictions, flip_permutation=FLIP)
    assert (diagnosis.duplicates.tolist(), diagnosis.background.tolist()) == ([0], [3])
    assert diagnosis.detection_index.tolist() == [2, 1]


def test_gains_of_planted_errors(crowd):
    ground_truth, predictions = crowd
    points = predictions.keypoints.copy()
    points[::3, [9, 10]] = points[::3, [10, 9]]
    spoiled = replace(predictions, keypoints=points)
    gains = rate_gains(ground_truth, spoiled, diagnose(ground_truth, spoiled, flip_permutation=FLIP))
    before = score_coco(ground_truth, predictions).metrics["ap"] - score_coco(ground_truth, spoiled).metrics["ap"]
    # A wrist whose other side is not labelled cannot be told from a miss.
    assert 0.5 * before < gains["inversion"] < 1.1 * before
    assert gains["inversion"] > max(gains["swap"], gains["background"], gains["missed"])
    assert gains["scores"] > 0


def test_a_planted_regression_is_named_and_stopped(crowd):
    ground_truth, predictions = crowd
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(predictions), len(predictions) // 10, replace=False)
    points = predictions.keypoints.copy()
    points[np.ix_(chosen, [9, 10])] = points[np.ix_(chosen, [10, 9])]
    spoiled = replace(predictions, keypoints=points)
    before, after = (diagnose(ground_truth, run, flip_permutation=FLIP) for run in (predictions, spoiled))
    named = compare_counts(before.counts(), after.counts(), SKELETON.keypoints)
    assert {entry[:2] for entry in named} == {("left_wrist", "inversion"), ("right_wrist", "inversion")}
    assert named[0][2] < 0.01 < 0.05 < named[0][3]
    assert compare_counts(before.counts(), before.counts(), SKELETON.keypoints) == []
    scores = [score_coco(ground_truth, run) for run in (predictions, spoiled)]
    runs = [ScoredRun(Score(protocol=Stamp(benchmark="coco"), metrics=score.metrics), score.matches) for score in scores]
    assert not decide(runs[0], runs[1], max_drop=0.005, resamples=300).passed


def test_score_quality(crowd):
    ground_truth, predictions = crowd
    diagnosis = diagnose(ground_truth, predictions, flip_permutation=FLIP)
    assert abs(correlate_scores(predictions, diagnosis)) < 0.2
    best = np.zeros(len(predictions))
    best[diagnosis.detection_index] = diagnosis.oks
    assert correlate_scores(replace(predictions, scores=best), diagnosis) == pytest.approx(1.0)
    assert correlate_scores(replace(predictions, scores=np.ones(len(predictions))), diagnosis) is None


def test_localisation_and_worst(crowd):
    ground_truth, predictions = crowd
    points = predictions.keypoints.copy()
    points[:, 15] += 0.4 * np.sqrt(ground_truth.area[diagnose(ground_truth, predictions, flip_permutation=FLIP).ground_truth_index].min())
    diagnosis = diagnose(ground_truth, replace(predictions, keypoints=points), flip_permutation=FLIP)
    quantiles = localise(diagnosis)
    assert quantiles.shape == (2, 17)
    assert int(np.argmax(quantiles[0])) == 15
    assert (quantiles[0] <= quantiles[1]).all()
    worst = diagnosis.worst(5)
    assert diagnosis.oks[worst].tolist() == sorted(diagnosis.oks)[:5]
