"""CLEAR MOT counting on sequences that can be followed by eye."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.metrics.clear_mot import count_clear_mot, gate_similarity

NAN = np.nan


def test_a_pair_within_reach_is_kept_although_another_is_nearer() -> None:
    frames = [([1], [7, 8], np.array([[0.1, NAN]])), ([1], [7, 8], np.array([[0.4, 0.1]]))]
    counts = count_clear_mot(frames)
    assert [match.predicted_id for match in counts.matches] == [7, 7]
    assert counts.switches == 0


def test_a_switch_after_a_gap_counts_once_and_names_both_tracks() -> None:
    near = np.array([[0.2]])
    counts = count_clear_mot([([1], [7], near), ([], [], np.zeros((0, 0))), ([1], [8], near), ([1], [8], near)])
    assert (counts.switches, counts.misses, counts.false_positives) == (1, 0, 0)
    switch = next(match for match in counts.matches if match.previous_id is not None)
    assert (switch.frame, switch.ground_truth_id, switch.previous_id, switch.predicted_id) == (2, 1, 7, 8)


def test_the_largest_matching_wins_over_the_cheapest_pair() -> None:
    counts = count_clear_mot([([1, 2], [7, 8], np.array([[0.1, 0.2], [0.3, NAN]]))])
    assert sorted((match.ground_truth_id, match.predicted_id) for match in counts.matches) == [(1, 8), (2, 7)]


def test_swapped_tracks_are_two_switches() -> None:
    straight, crossed = np.array([[0.1, NAN], [NAN, 0.1]]), np.array([[NAN, 0.1], [0.1, NAN]])
    counts = count_clear_mot([([1, 2], [7, 8], straight), ([1, 2], [7, 8], crossed)])
    assert (counts.switches, counts.detections, counts.mota) == (2, 4, 0.5)


def test_two_objects_that_had_the_same_track_do_not_share_it() -> None:
    both = np.array([[0.1], [0.1]])
    counts = count_clear_mot([([1], [7], np.array([[0.1]])), ([2], [7], np.array([[0.1]])), ([1, 2], [7], both)])
    assert (counts.detections, counts.misses) == (3, 1)
    assert counts.missed == [(2, 2)]


def test_empty_sides_are_misses_and_false_positives() -> None:
    counts = count_clear_mot([([1, 2], [], np.zeros((2, 0))), ([], [7], np.zeros((0, 1)))])
    assert (counts.misses, counts.false_positives, counts.objects, counts.detections) == (2, 1, 2, 0)
    assert np.isnan(count_clear_mot([]).mota)


def test_wrong_shapes_and_double_ids_are_errors() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        count_clear_mot([([1, 2], [7], np.zeros((1, 1)))])
    with pytest.raises(ValueError, match="twice"):
        count_clear_mot([([1, 1], [7], np.zeros((2, 1)))])


def test_gating_is_inclusive() -> None:
    assert np.isnan(gate_similarity(np.array([[0.5, 0.49]]), 0.5)).tolist() == [[False, True]]
