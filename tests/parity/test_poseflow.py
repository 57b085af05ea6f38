"""The published matching against the public code: its ids and its matrices of grades on twelve frames of five people."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from poseline.config.tracking import PoseflowPublishedConfig, TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.track.build import build_tracker, track_frames
from poseline.track.poseflow_published import LastSeen, grade_pairs, person_boxes

GOLDEN = Path(__file__).parent / "golden" / "poseflow.npz"
FULL = Path(os.environ.get("POSELINE_GOLDEN", Path(__file__).parents[3] / "shared" / "golden")) / "poseflow.npz"
IMAGE_WH = (640, 360)


def _pose_sets(poses: np.ndarray) -> list[PoseSet]:
    sets = []
    for frame in poses:
        corners = np.concatenate([frame[..., :2].min(axis=1), frame[..., :2].max(axis=1)], axis=1)
        sets.append(PoseSet(keypoints=frame[..., :2], keypoint_scores=frame[..., 2], bbox_xyxy=corners))
    return sets


@pytest.mark.parametrize("frame", [1, 5, 9])
def test_grades_equal_the_public_codes(frame: int) -> None:
    golden = np.load(GOLDEN)
    before, now = (golden["poses"][t, :, :, :2].astype(np.float64) for t in (frame - 1, frame))
    moves = golden[f"correspondences_{frame}"].astype(np.int64)
    correspondences = np.concatenate([moves[:, :2], moves[:, :2] + moves[:, 2:]], axis=1)
    seen = LastSeen(np.arange(5), np.ones(5, dtype=np.int64), person_boxes(before, IMAGE_WH), before)
    grades = grade_pairs(seen, person_boxes(now, IMAGE_WH), now, correspondences, PoseflowPublishedConfig())
    # The public code finds neighbours by an approximate search and misses a few correspondences; grades reach 6.
    np.testing.assert_allclose(grades, golden[f"cost_{frame}"], atol=0.005)


def test_ids_without_pictures_equal_the_public_codes() -> None:
    golden = np.load(GOLDEN)
    config = TrackConfig(kind="poseflow_published", min_pose_score=0, poseflow_published=PoseflowPublishedConfig(correspondence="none"))
    tracked = track_frames(build_tracker(config, load_skeleton("coco17")), _pose_sets(golden["poses"]))
    assert np.array_equal([poses.track_ids for poses in tracked], golden["ids"])


@pytest.mark.slow
@pytest.mark.skipif(not FULL.is_file(), reason=f"the images of the golden sequence are not at {FULL}")
def test_ids_with_orb_equal_the_public_codes() -> None:
    golden = np.load(FULL)
    config = TrackConfig(kind="poseflow_published", min_pose_score=0)
    frames = [Frame(image, index) for index, image in enumerate(golden["frames"])]
    tracked = track_frames(build_tracker(config, load_skeleton("coco17")), _pose_sets(golden["poses"]), frames)
    assert np.array_equal([poses.track_ids for poses in tracked], golden["ids"])
