"""PCKh."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.metrics.pckh import MPII_JOINTS, head_size_from_box, score_pckh


@pytest.fixture
def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 500, (40, 16, 2)), rng.random((40, 16)) < 0.2, rng.uniform(20, 60, 40)


def test_perfect_predictions(people):
    ground_truth, missing, head = people
    score = score_pckh(ground_truth, ground_truth, missing, head)
    assert score.mean == score.mean_at_01 == score.auc == 1.0
    assert set(score.groups) == {"head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"}
    assert set(score.groups.values()) == {1.0}


def test_the_mean_is_weighted_by_counts_and_leaves_out_pelvis_and_thorax(people):
    ground_truth, missing, head = people
    predicted = ground_truth.copy()
    predicted[:, [0, 6, 7]] += 1000
    score = score_pckh(predicted, ground_truth, missing, head)
    counted = [joint for joint in range(16) if joint not in (6, 7)]
    asked = (~missing[:, counted]).sum()
    assert score.mean == pytest.approx(1 - (~missing[:, 0]).sum() / asked)
    assert score.joints["right_ankle"] == score.joints["pelvis"] == 0.0
    assert score.groups["ankle"] == 0.5
    assert score.counts["right_ankle"] == (~missing[:, 0]).sum()


def test_a_distance_at_the_threshold_is_right():
    ground_truth = np.zeros((1, 16, 2))
    predicted = np.zeros((1, 16, 2))
    predicted[0, :8, 0] = 5.0
    predicted[0, 8:, 0] = 5.001
    score = score_pckh(predicted, ground_truth, np.zeros((1, 16), bool), np.array([10.0]))
    assert [score.joints[name] for name in MPII_JOINTS] == [1.0] * 8 + [0.0] * 8


def test_missing_joints_do_not_count_even_where_not_a_number(people):
    ground_truth, missing, head = people
    predicted, broken = ground_truth.copy(), ground_truth.copy()
    predicted[missing] = np.nan
    broken[missing] = np.nan
    assert score_pckh(predicted, broken, missing, head).mean == 1.0


def test_nothing_annotated(people):
    ground_truth, missing, head = people
    score = score_pckh(ground_truth, ground_truth, np.ones_like(missing), head)
    assert score.mean is None
    assert score.auc is None
    assert score.metrics["pckh_head"] is None


def test_metrics_are_flat_fractions(people):
    ground_truth, missing, head = people
    metrics = score_pckh(ground_truth + 8, ground_truth, missing, head).metrics
    assert list(metrics)[:4] == ["pckh", "pckh_01", "auc", "pckh_head"]
    assert all(0 <= value <= 1 for value in metrics.values())


@pytest.mark.usefixtures("unchecked")
def test_faults_are_named(people):
    ground_truth, missing, head = people
    bad = ground_truth.copy()
    person, joint = np.argwhere(~missing)[0]
    bad[person, joint] = np.nan
    with pytest.raises(ValueError, match=f"person {person}, {MPII_JOINTS[joint]}: expected a finite position"):
        score_pckh(bad, ground_truth, missing, head)
    with pytest.raises(ValueError, match="predicted: expected shape"):
        score_pckh(ground_truth[:, :14], ground_truth, missing, head)
    with pytest.raises(ValueError, match="head_size: person 0"):
        score_pckh(ground_truth, ground_truth, missing, np.zeros(40))


def test_head_size():
    assert head_size_from_box(np.array([[10.0, 10, 13, 14]])).tolist() == [3.0]
