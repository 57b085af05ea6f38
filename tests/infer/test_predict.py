"""Duplicates among detections: every kind of pose NMS as the predict stage uses it, and conversion to the set's skeleton."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poseline.artifacts import PoseTable
from poseline.codecs.scores import pose_score
from poseline.config import NmsConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.infer.predict import convert_predictions, describe_dropped, predict_boxes, suppress

COCO = load_skeleton("coco17")
KINDS = ("none", "parametric", "oks", "soft_oks")


@pytest.fixture
def image() -> PoseTable:
    """A person found twice (rows 0 and 2, the second a little off and worse) and another (row 1)."""
    rng = np.random.default_rng(0)
    body = rng.uniform((100, 50), (180, 250), (17, 2))
    keypoints = np.stack([body, body + np.array([200, 0]), body + rng.normal(0, 0.5, (17, 2))])
    scores = np.repeat(np.array([[0.9], [0.7], [0.6]]), 17, axis=1)
    boxes = np.concatenate([keypoints.min(axis=1) - 5, keypoints.max(axis=1) + 5], axis=1)
    box_scores = np.array([0.9, 0.8, 0.5], np.float32)
    poses = PoseSet(
        keypoints=keypoints, keypoint_scores=scores, bbox_xyxy=boxes, bbox_scores=box_scores,
        pose_scores=pose_score(scores, box_scores, "mean"),
    )  # fmt: skip
    return PoseTable(pd.DataFrame({"image_id": [7] * 3, "person": [0, 1, 2]}), poses)


def test_none_leaves_everything(image: PoseTable) -> None:
    assert suppress(image, COCO, NmsConfig(kind="none"), "mean") is image


def test_oks_drops_the_worse_copy_and_changes_nothing_else(image: PoseTable) -> None:
    kept = suppress(image, COCO, NmsConfig(kind="oks", oks_threshold=0.5), "mean")
    assert kept.rows["person"].tolist() == [0, 1]
    np.testing.assert_array_equal(kept.poses.keypoints, image.poses.keypoints[:2])
    np.testing.assert_array_equal(kept.poses.pose_scores, image.poses.pose_scores[:2])
    assert len(suppress(image, COCO, NmsConfig(kind="oks", oks_threshold=1.0), "mean")) == 3


def test_soft_oks_lowers_the_score_of_the_worse_copy(image: PoseTable) -> None:
    kept = suppress(image, COCO, NmsConfig(kind="soft_oks", oks_threshold=0.5), "mean")
    assert kept.rows["person"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(kept.poses.pose_scores[:2], image.poses.pose_scores[:2], rtol=1e-6)
    assert kept.poses.pose_scores[2] < 0.2 * image.poses.pose_scores[2]


@pytest.mark.parametrize("mode", ["published", "fixed"])
@pytest.mark.parametrize("rule", ["mean", "mean_visible"])
def test_parametric_merges_the_copies_and_scores_the_result_by_the_rule(image: PoseTable, mode: str, rule: str) -> None:
    kept = suppress(image, COCO, NmsConfig(kind="parametric", mode=mode), rule)
    assert kept.rows["person"].tolist() == [0, 1]
    moved = np.abs(kept.poses.keypoints - image.poses.keypoints[:2]).max(axis=(1, 2))
    assert 0 < moved[0] < 2
    assert moved[1] < 1e-4
    np.testing.assert_array_equal(kept.poses.bbox_xyxy, image.poses.bbox_xyxy[:2])
    expected = pose_score(kept.poses.keypoint_scores, image.poses.bbox_scores[:2], rule)
    np.testing.assert_allclose(kept.poses.pose_scores, expected, rtol=1e-6)


def test_parametric_scores_only_the_keypoints_that_the_model_has(image: PoseTable) -> None:
    scores = image.poses.keypoint_scores.copy()
    scores[:, 12:] = 0
    poses = PoseSet(
        keypoints=image.poses.keypoints, keypoint_scores=scores, bbox_xyxy=image.poses.bbox_xyxy, bbox_scores=image.poses.bbox_scores,
    )  # fmt: skip
    kept = suppress(PoseTable(image.rows, poses), COCO, NmsConfig(kind="parametric"), "mean").poses
    np.testing.assert_allclose(kept.pose_scores, kept.keypoint_scores[:, :12].mean(axis=1) * kept.bbox_scores, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_duplicates_are_sought_within_an_image_and_among_detections_only(kind: str, bright_estimator, dots) -> None:
    boxes, _ = dots
    doubled = pd.concat([boxes, boxes.assign(bbox_score=np.float32(0.4))], ignore_index=True)
    nms = NmsConfig(kind=kind, oks_threshold=0.5)
    found = predict_boxes(bright_estimator(score="mean"), doubled, COCO, nms)
    per_image = found.rows.groupby("image_id").size()
    expected = 4 if kind in ("none", "soft_oks") else 2
    assert (per_image == expected).all()
    assert len(per_image) == 3
    ground_truth = predict_boxes(bright_estimator(score="mean"), doubled.assign(boxes="ground_truth"), COCO, nms)
    assert len(ground_truth) == 12
    assert len(predict_boxes(bright_estimator(), boxes[:0], COCO, nms)) == 0


@pytest.mark.parametrize("score", [0.05, 0.29])
def test_a_weak_model_whose_every_detection_is_dropped_is_told_why(
    score: float, bright_estimator, dots, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes, _ = dots
    estimator = bright_estimator(score="mean")
    decode = estimator.decode
    monkeypatch.setattr(estimator, "decode", lambda crops: (decode(crops)[0], np.full_like(decode(crops)[1], score)))
    assert len(predict_boxes(estimator, boxes, COCO, NmsConfig(kind="parametric"))) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"parametric pose NMS keeps 0 of {len(boxes)} detections: {len(boxes)} have no keypoint that scores 0.3" in line
    assert f"the highest of all is {score:.3g}" in line
    assert "predict.nms.kind=oks" in line
    assert len(predict_boxes(estimator, boxes, COCO, NmsConfig(kind="oks"))) == len(boxes)
    assert capsys.readouterr().err == ""


def test_a_good_model_hears_nothing(bright_estimator, dots, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(predict_boxes(bright_estimator(score="mean"), dots[0], COCO, NmsConfig(kind="parametric")))
    assert capsys.readouterr().err == ""
    assert describe_dropped(np.full((4, 17), [[0.9], [0.8], [0.7], [0.1]]), 3, NmsConfig()) is None
    assert describe_dropped(np.full((4, 17), [[0.9], [0.2], [0.2], [0.1]]), 1, NmsConfig()) is not None


def test_conversion_scores_the_shared_keypoints_and_marks_all_as_given(image: PoseTable) -> None:
    target = load_skeleton("posetrack17")
    found = convert_predictions(image, COCO, target, "mean").poses
    assert found.num_keypoints == 17
    head_top = target.keypoints.index("head_top")
    assert not found.keypoint_scores[:, head_top].any()
    np.testing.assert_allclose(found.pose_scores, image.poses.keypoint_scores[:, 0] * image.poses.bbox_scores, rtol=1e-6)
    assert (found.visibility == 2).all()
