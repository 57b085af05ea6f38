from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.config.tracking import SmoothingConfig
from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError, DataError
from poseline.track.smoothing import OneEuroSmoother, smooth_tracks

ONE_EURO = SmoothingConfig(kind="one_euro")
SAVGOL = SmoothingConfig(kind="savgol")
both = pytest.mark.parametrize("config", [ONE_EURO, SAVGOL], ids=["one_euro", "savgol"])


def _walk(noise_px: float, *, speed: float = 1.0, num_frames: int = 60, seed: int = 0) -> tuple[list[PoseSet], np.ndarray]:
    """Two people, ids 4 and 9, order changing from frame to frame; the true keypoints [T, 2, K, 2]."""
    rng = np.random.default_rng(seed)
    base = np.stack([rng.uniform(100, 200, (5, 2)), rng.uniform(300, 400, (5, 2))])
    truth = base + np.arange(num_frames)[:, None, None, None] * np.array([speed, 0])
    noisy = truth + rng.normal(scale=noise_px, size=truth.shape)
    frames = []
    for pose in noisy:
        order = rng.permutation(2)
        boxes = np.concatenate([pose.min(axis=1), pose.max(axis=1)], axis=1)
        frames.append(
            PoseSet(keypoints=pose[order], keypoint_scores=np.ones((2, 5)), bbox_xyxy=boxes[order], track_ids=np.array([4, 9])[order])
        )
    return frames, truth


def _by_id(frames: list[PoseSet]) -> np.ndarray:
    return np.stack([poses.keypoints[np.argsort(poses.track_ids)] for poses in frames])


@both
def test_smoothing_lessens_noise_and_leaves_all_else(config: SmoothingConfig) -> None:
    frames, truth = _walk(3.0, speed=0.2)
    smoothed = smooth_tracks(frames, config)
    error = lambda sets: np.abs(_by_id(sets)[10:] - truth[10:]).mean()  # noqa: E731
    assert error(smoothed) < 0.75 * error(frames)
    for before, after in zip(frames, smoothed, strict=True):
        assert np.array_equal(before.track_ids, after.track_ids)
        assert np.array_equal(before.bbox_xyxy, after.bbox_xyxy)
        assert np.array_equal(before.keypoint_scores, after.keypoint_scores)


def test_none_changes_nothing() -> None:
    frames, _ = _walk(3.0)
    assert smooth_tracks(frames, SmoothingConfig()) == frames


def test_savgol_keeps_a_parabola_to_the_bit_of_float32() -> None:
    time = np.arange(20.0)
    path = np.stack([100 + time**2, 50 - 2 * time], axis=1)[:, None, None]
    box = np.array([[0, 0, 9, 9]])
    frames = [PoseSet(keypoints=p, keypoint_scores=np.ones((1, 1)), bbox_xyxy=box, track_ids=np.array([1])) for p in path]
    assert np.allclose(np.stack([poses.keypoints for poses in smooth_tracks(frames, SAVGOL)]), path, atol=1e-3)


def test_one_euro_lags_little_when_quick() -> None:
    frames, truth = _walk(0.0, speed=15.0)
    lag = np.abs(_by_id(smooth_tracks(frames, ONE_EURO))[20:] - truth[20:])[..., 0].max()
    assert lag < 15.0  # less than one frame's way


@both
def test_short_runs_gaps_and_poses_without_an_id(config: SmoothingConfig) -> None:
    frames, _ = _walk(2.0, num_frames=20)
    frames[5], frames[6] = PoseSet.empty(5), PoseSet.empty(5)
    frames[9] = frames[9].with_track_ids(np.full(2, -1))
    smoothed = smooth_tracks(frames, config)
    assert [len(poses) for poses in smoothed] == [len(poses) for poses in frames]
    assert np.array_equal(smoothed[9].keypoints, frames[9].keypoints)
    assert np.array_equal(smooth_tracks(frames[:1], config)[0].keypoints, frames[0].keypoints)
    assert smooth_tracks([], config) == []


@both
def test_an_id_twice_in_a_frame_is_refused(config: SmoothingConfig) -> None:
    frames, _ = _walk(1.0, num_frames=4)
    frames[2] = replace(frames[2], track_ids=np.array([4, 4]))
    with pytest.raises(DataError, match="track id 4 stands 2 times"):
        smooth_tracks(frames, config)


def test_one_euro_restores_and_forgets() -> None:
    frames, _ = _walk(2.0, num_frames=30)
    first, second = OneEuroSmoother(ONE_EURO), OneEuroSmoother(ONE_EURO)
    for poses in frames[:15]:
        first.update(poses)
    second.restore(first.state())
    assert all(np.array_equal(first.update(poses).keypoints, second.update(poses).keypoints) for poses in frames[15:])
    for _ in range(100):
        first.update(PoseSet.empty(5))
    assert len(first.state()["ids"]) == 0
    with pytest.raises(ArtifactError, match="one_euro"):
        first.restore({"ids": np.zeros(0)})


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        SmoothingConfig(savgol_window=6)


@pytest.mark.parametrize("kind", ["one_euro", "savgol"])
def test_keypoints_that_are_not_annotated_neither_move_nor_pull(kind: str) -> None:
    """A keypoint written as (0, 0) in some frames: it stays there, and the frames around do not lean towards it."""
    frames, hidden = [], {4, 5, 9}
    for t in range(14):
        keypoints = np.full((1, 17, 2), 100.0 + t, dtype=np.float32)
        visibility = np.full((1, 17), 2, dtype=np.uint8)
        if t in hidden:
            keypoints[0, 3], visibility[0, 3] = 0, 0
        frames.append(PoseSet(keypoints=keypoints, keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[60, 60, 160, 160]]),
                              visibility=visibility, track_ids=np.array([1])))  # fmt: skip
    smoothed = smooth_tracks(frames, SmoothingConfig(kind=kind))
    for t, poses in enumerate(smoothed):
        if t in hidden:
            assert poses.keypoints[0, 3].tolist() == [0, 0]
        else:
            assert np.abs(poses.keypoints[0, 3] - (100 + t)).max() < 5
    # A keypoint hidden when its track began starts at its first sighting.
    late = smooth_tracks(frames[4:8], SmoothingConfig(kind="one_euro"))
    assert late[2].keypoints[0, 3].tolist() == [106, 106]


def test_skipped_frames_are_time_gone_by() -> None:
    """One-euro follows a step further after a gap; Savitzky-Golay does not fit across it."""
    points = [0.0, 0.0, 0.0, 30.0, 30.0, 30.0]
    frames = [
        PoseSet(keypoints=np.full((1, 17, 2), 100 + x), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[0, 0, 300, 300]]),
                track_ids=np.array([1]))
        for x in points
    ]  # fmt: skip
    config = SmoothingConfig(kind="one_euro")
    near, far = smooth_tracks(frames, config), smooth_tracks(frames, config, [0, 1, 2, 40, 41, 42])
    assert far[3].keypoints[0, 0, 0] > near[3].keypoints[0, 0, 0] + 3
    apart = smooth_tracks(frames, SmoothingConfig(kind="savgol", savgol_window=5), [0, 1, 2, 40, 41, 42])
    assert [round(float(poses.keypoints[0, 0, 0]), 3) for poses in apart] == [100 + x for x in points]
