"""Gaps in tracks filled by interpolation, and the Butterworth filter."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.config.tracking import SmoothingConfig
from poseline.core.poses import PoseSet
from poseline.track.gaps import fill_gaps
from poseline.track.smoothing import smooth_tracks


def at(x: float, *ids: int, hidden: bool = False) -> PoseSet:
    """A pose an id, all keypoints at (x, id)."""
    points = np.stack([np.full((len(ids), 3), x), np.tile(np.array(ids, dtype=float).reshape(-1, 1), (1, 3))], axis=2)
    return PoseSet(
        keypoints=points, keypoint_scores=np.full((len(ids), 3), 1 - x / 100), bbox_xyxy=np.tile([x, 0, x + 2, 4], (len(ids), 1)),
        track_ids=np.array(ids, dtype=int), visibility=np.tile([2, 2, 0 if hidden else 2], (len(ids), 1)),
    )  # fmt: skip


def test_a_short_gap_is_on_the_line_between_its_ends_and_marked() -> None:
    filled, added = fill_gaps([at(0, 1), at(5, 2), PoseSet.empty(3), at(30, 1, 2)], [0, 1, 2, 3], max_gap=2)
    assert [poses.track_ids.tolist() for poses in filled] == [[1], [2, 1], [1, 2], [1, 2]]
    assert [flags.tolist() for flags in added] == [[False], [False, True], [True, True], [False, False]]
    assert filled[1].keypoints[1, 0].tolist() == [10, 1]
    assert filled[2].bbox_xyxy[0].tolist() == [20, 0, 22, 4]
    assert filled[2].keypoint_scores[0] == pytest.approx([0.7] * 3)


def test_a_long_gap_stays_and_frames_that_are_not_listed_count() -> None:
    frames = [at(0, 1), PoseSet.empty(3), at(30, 1)]
    assert [len(poses) for poses in fill_gaps(frames, [0, 1, 2], max_gap=1)[0]] == [1, 1, 1]
    assert [len(poses) for poses in fill_gaps(frames, [0, 1, 9], max_gap=7)[0]] == [1, 0, 1]
    assert fill_gaps(frames, [0, 3, 9], max_gap=8)[0][1].keypoints[0, 0, 0] == pytest.approx(10)


def test_a_keypoint_missing_at_one_end_is_missing_between() -> None:
    filled, _ = fill_gaps([at(0, 1, hidden=True), PoseSet.empty(3), at(30, 1)], [0, 1, 2], max_gap=5)
    assert filled[1].visibility.tolist() == [[2, 2, 0]]


def test_poses_without_ids_are_left_alone() -> None:
    filled, added = fill_gaps([at(0, -1), PoseSet.empty(3), at(30, -1)], [0, 1, 2], max_gap=5)
    assert [len(poses) for poses in filled] == [1, 0, 1]
    assert not np.concatenate(added).any()


def test_butterworth_takes_noise_away_without_lag_and_keeps_slow_motion() -> None:
    rng, times = np.random.default_rng(0), np.arange(120)
    slow = 50 + 20 * np.sin(2 * np.pi * times / 60)
    noisy = [at(x, 1) for x in slow + rng.normal(0, 2, len(times))]
    smoothed = smooth_tracks(noisy, SmoothingConfig(kind="butterworth", butterworth_cutoff=0.08))
    errors = [np.array([poses.keypoints[0, 0, 0] for poses in frames]) - slow for frames in (noisy, smoothed)]
    assert np.abs(errors[1]).std() < 0.5 * np.abs(errors[0]).std()
    lags = [np.corrcoef(np.roll(slow, lag)[5:-5], (slow + errors[1])[5:-5])[0, 1] for lag in range(-3, 4)]
    assert int(np.argmax(lags)) == 3
    still = smooth_tracks([at(7, 1)] * 40, SmoothingConfig(kind="butterworth"))
    assert np.stack([poses.keypoints for poses in still])[..., 0] == pytest.approx(7, abs=1e-4)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9])
def test_butterworth_takes_any_length(length: int) -> None:
    assert len(smooth_tracks([at(t, 1) for t in range(length)], SmoothingConfig(kind="butterworth"))) == length
