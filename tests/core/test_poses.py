"""The struct of arrays for poses: what is filled in, checked, selected and converted."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton


def make_poses(count: int = 3, num_keypoints: int = 17) -> PoseSet:
    rng = np.random.default_rng(0)
    return PoseSet(
        keypoints=rng.uniform(1, 50, (count, num_keypoints, 2)), keypoint_scores=rng.uniform(0.1, 1, (count, num_keypoints)),
        bbox_xyxy=np.array([[0, 0, 10 * (i + 1), 20] for i in range(count)]),
    )  # fmt: skip


def test_what_is_not_given_is_filled_in() -> None:
    poses = make_poses()
    assert poses.bbox_scores.tolist() == [1, 1, 1]
    assert poses.pose_scores == pytest.approx(poses.keypoint_scores.mean(axis=1))
    assert poses.area.tolist() == [200, 400, 600]
    assert (poses.visibility == 2).all()
    assert poses.track_ids.tolist() == [-1, -1, -1]


def test_arrays_are_kept_in_their_types() -> None:
    poses = make_poses()
    kept = {name: getattr(poses, name).dtype.name for name in ("keypoints", "keypoint_scores", "bbox_xyxy", "visibility", "track_ids")}
    assert kept == {
        "keypoints": "float32", "keypoint_scores": "float32", "bbox_xyxy": "float32", "visibility": "uint8", "track_ids": "int64"
    }  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("keypoints", (2, 17, 3), r"keypoints: expected shape \[N, K, 2\], got \(2, 17, 3\)"),
        ("keypoint_scores", (2, 16), r"keypoint_scores: expected shape \(2, 17\), got \(2, 16\)"),
        ("bbox_xyxy", (1, 4), r"bbox_xyxy: expected shape \(2, 4\), got \(1, 4\)"),
        ("track_ids", (3,), r"track_ids: expected shape \(2,\), got \(3,\)"),
    ],
)
def test_shapes_that_do_not_agree_are_named(name: str, shape: tuple[int, ...], message: str) -> None:
    arrays = {"keypoints": np.zeros((2, 17, 2)), "keypoint_scores": np.zeros((2, 17)), "bbox_xyxy": np.zeros((2, 4))}
    with pytest.raises(ValueError, match=message):
        PoseSet(**{**arrays, name: np.zeros(shape)})


def test_select_and_concat_keep_the_rows() -> None:
    poses = make_poses().with_track_ids(np.array([7, 8, 9]))
    assert poses.select(np.array([2, 0])).track_ids.tolist() == [9, 7]
    assert poses.select(np.array([False, True, False])).track_ids.tolist() == [8]
    both = PoseSet.concat([poses.select(slice(0, 1)), poses.select(slice(1, None))])
    assert np.array_equal(both.keypoints, poses.keypoints)
    assert both.track_ids.tolist() == [7, 8, 9]
    assert len(PoseSet.empty(17)) == 0


def test_convert_places_keypoints_by_name_and_zeroes_what_is_missing() -> None:
    coco, mpii = load_skeleton("coco17"), load_skeleton("mpii16")
    poses = make_poses()
    converted = poses.convert(coco, mpii)
    assert np.array_equal(converted.keypoints[:, mpii.index("left_knee")], poses.keypoints[:, coco.index("left_knee")])
    missing = mpii.index("pelvis")
    assert not converted.keypoints[:, missing].any()
    assert not converted.keypoint_scores[:, missing].any()
    assert not converted.visibility[:, missing].any()
    assert np.array_equal(converted.pose_scores, poses.pose_scores)
    assert poses.convert(coco, coco) is poses
