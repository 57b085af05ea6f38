"""HOTA: what must hold whatever the tracks, and PoseTrack21's keypoint form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence
from poseline.datasets.posetrack.scoring import score_keypoint_hota, score_pose_tracking
from poseline.metrics.hota import combine_hota, score_hota
from poseline.metrics.track_frames import TrackFrame


def frame(ground_truth: list[int], predicted: list[int], similarity: np.ndarray | float) -> TrackFrame:
    matrix = np.eye(len(ground_truth), len(predicted)) * similarity if isinstance(similarity, float) else similarity
    return TrackFrame(np.array(ground_truth, dtype=np.int64), np.array(predicted, dtype=np.int64), matrix)


def test_half_a_life_under_each_of_two_ids_halves_the_association() -> None:
    score = score_hota([frame([1], [5], 1.0)] * 4 + [frame([1], [6], 1.0)] * 4)
    assert score.metrics["det_a"] == pytest.approx(1.0)
    assert score.metrics["ass_a"] == pytest.approx(0.5)
    assert score.metrics["hota"] == pytest.approx(0.5**0.5)


def test_similarity_decides_up_to_which_threshold_a_pair_holds() -> None:
    score = score_hota([frame([1], [5], 0.5)] * 3)
    assert score.true_positives.tolist() == [3.0] * 10 + [0.0] * 9
    assert score.metrics["loc_a"] == pytest.approx((10 * 0.5 + 9) / 19)


def test_nothing_predicted_and_nothing_there() -> None:
    empty = np.zeros((1, 0))
    assert score_hota([frame([1], [], empty)]).metrics["hota"] == 0.0
    assert score_hota([frame([], [1], empty.T)]).false_positives.tolist() == [1.0] * 19


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_bounds_and_renaming(seed: int, objects: int, tracks: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [frame(list(range(objects)), list(range(tracks)), rng.random((objects, tracks))) for _ in range(4)]
    renamed = [TrackFrame(f.ground_truth_ids * 7 + 3, 100 - f.predicted_ids, f.similarity) for f in frames]
    score = score_hota(frames)
    assert all(0 <= value <= 1 for value in score.metrics.values())
    assert score_hota(renamed).metrics["det_a"] == pytest.approx(score.metrics["det_a"])
    for name, value in combine_hota([score, score]).metrics.items():
        assert value == pytest.approx(score.metrics[name])


def video(shift_px: float, ids: list[list[int]], *, drop: tuple[int, ...] = ()) -> PoseTrackSequence:
    """Two people, head size 10 px; keypoints shifted by ``shift_px``; frames in ``drop`` are empty."""
    frames = []
    for t, track_ids in enumerate(ids):
        kept = [] if t in drop else track_ids
        keypoints = np.zeros((len(kept), 17, 2)) + np.array([100.0, 400.0])[: len(kept), None, None]
        keypoints += np.stack([np.full(17, shift_px + t), np.arange(17) * 10.0], axis=1)
        side = 10 / 0.6 / 2**0.5
        poses = PoseSet(
            keypoints=keypoints, keypoint_scores=np.ones((len(kept), 17)), bbox_xyxy=np.tile([0.0, 0, 80, 160], (len(kept), 1)),
            track_ids=np.array(kept, dtype=np.int64),
        )  # fmt: skip
        frames.append(PoseTrackFrame(t, f"v/{t:06d}.jpg", t, True, (), poses, np.tile([0.0, 0, side, side], (len(kept), 1))))
    return PoseTrackSequence("v", tuple(frames))


def test_keypoint_hota_falls_with_distance_in_head_sizes_and_with_frames_lost() -> None:
    ground_truth = {"v": video(0.0, [[0, 1]] * 4)}
    perfect, joints = score_keypoint_hota(ground_truth, {"v": video(0.0, [[4, 2]] * 4)})
    assert perfect.metrics["hota"] == pytest.approx(1.0)
    assert len(joints) == 15
    shifted, _ = score_keypoint_hota(ground_truth, {"v": video(2.4, [[4, 2]] * 4)})
    assert shifted.det_a.tolist() == [1.0] * 10 + [0.0] * 9
    lost, _ = score_keypoint_hota(ground_truth, {"v": video(0.0, [[4, 2]] * 4, drop=(3,))})
    assert lost.metrics["det_re"] == pytest.approx(0.75)
    assert lost.false_negatives[0] == 2 * 15


def test_pose_tracks_are_scored_on_oks() -> None:
    ground_truth = {"v": video(0.0, [[0, 1]] * 4)}
    score = score_pose_tracking(ground_truth, {"v": video(0.0, [[4, 2]] * 2 + [[2, 4]] * 2)})
    assert score.metrics["idf1"] == pytest.approx(0.5)
    assert score.metrics["switches"] == 2
    assert score.metrics["det_a"] == pytest.approx(1.0)
    assert score.metrics["ass_a"] == pytest.approx(1 / 3)
    assert score.sequences["v"].metrics == score.metrics
