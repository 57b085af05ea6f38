"""Assignment of poses and AP, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseline.metrics.posetrack_ap import average_precision, head_sizes, label_joints, pair_joints, rank_scores


def poses(*columns: float) -> np.ndarray:
    """One person a column x, three joints at y = 0, 100, 200."""
    return np.array([[[x, y] for y in (0.0, 100, 200)] for x in columns])


def everywhere(points: np.ndarray) -> np.ndarray:
    return np.ones(points.shape[:2], dtype=bool)


def test_of_two_poses_on_one_person_the_better_is_assigned_and_the_other_is_wrong() -> None:
    ground_truth, predicted = poses(0.0), poses(1.0, 2.0)
    predicted[0, 2, 0] = 500
    pairs = pair_joints(
        predicted, everywhere(predicted), ground_truth=ground_truth, has_ground_truth=everywhere(ground_truth), head_size=np.array([10.0])
    )
    assert pairs.person_of.tolist() == [-1, 0]
    assert label_joints(pairs).tolist() == [[False] * 3, [True] * 3]


def test_a_pose_is_held_against_the_person_it_covers_best_even_if_that_one_is_taken() -> None:
    ground_truth, predicted = poses(0.0, 4.0), poses(0.5, 0.0)
    predicted[0, 2, 0] = 500
    pairs = pair_joints(
        predicted,
        everywhere(predicted),
        ground_truth=ground_truth,
        has_ground_truth=everywhere(ground_truth),
        head_size=np.array([10.0, 10]),
    )
    assert pairs.person_of.tolist() == [-1, 0]


def test_missing_joints_match_nobody_and_a_person_of_few_joints_weighs_by_share() -> None:
    ground_truth, predicted = poses(0.0), poses(0.0)
    shown = np.array([[True, False, False]])
    pairs = pair_joints(predicted, everywhere(predicted), ground_truth=ground_truth, has_ground_truth=shown, head_size=np.array([10.0]))
    assert np.isinf(pairs.distances[0, 0, 1:]).all()
    assert label_joints(pairs).tolist() == [[True, False, False]]


def test_a_head_of_no_size_matches_nothing() -> None:
    ground_truth = poses(0.0)
    pairs = pair_joints(
        ground_truth,
        everywhere(ground_truth),
        ground_truth=ground_truth,
        has_ground_truth=everywhere(ground_truth),
        head_size=np.array([0.0]),
    )
    assert not pairs.within.any()
    assert head_sizes(np.array([[3.0, 3, 3, 3]])).tolist() == [0.0]


def test_ap_without_detections_or_without_truth() -> None:
    assert average_precision(np.zeros(0, dtype=bool), 3) == (0.0, 0.0, 0.0)
    ap, precision, recall = average_precision(np.array([False, False]), 0)
    assert np.isnan(ap)
    assert np.isnan(recall)
    assert precision == 0.0


def test_stable_ties_keep_the_order_of_the_frames() -> None:
    assert rank_scores(np.array([0.5, 0.9, 0.5, 0.9])).tolist() == [1, 3, 0, 2]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 20))
def test_ap_is_the_area_under_the_envelope(labels: list[bool], more: int) -> None:
    hits = np.array(labels)
    total = int(hits.sum()) + more
    if not total:
        return
    area = 0.0
    for level in range(1, int(hits.sum()) + 1):
        reached = [hits[: n + 1].sum() / (n + 1) for n in range(len(hits)) if hits[: n + 1].sum() >= level]
        area += max(reached) / total
    assert average_precision(hits, total)[0] == pytest.approx(area, abs=1e-12)
