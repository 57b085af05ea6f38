"""Boxes to poses: order and batches across images, and nothing in nothing out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.artifacts import BBOX_COLUMNS
from poseline.datasets.boxes import BOX_ROWS
from poseline.datasets.images import read_image
from poseline.errors import DataError
from poseline.infer.estimator import estimate_boxes, read_ahead


@pytest.mark.parametrize("batch_size", [1, 2, 4, 64])
def test_poses_come_in_the_order_of_the_boxes_whatever_the_batch(batch_size: int, bright_estimator, dots) -> None:
    boxes, centres = dots
    found = estimate_boxes(bright_estimator(batch_size=batch_size), boxes)
    assert np.abs(found.poses.keypoints - centres[:, None]).max() < 4
    assert found.rows.equals(boxes[list(BOX_ROWS)])
    np.testing.assert_array_equal(found.poses.bbox_xyxy, boxes[list(BBOX_COLUMNS)].to_numpy())
    whole = estimate_boxes(bright_estimator(), boxes).poses
    np.testing.assert_allclose(found.poses.keypoints, whole.keypoints, atol=1e-3)


def test_index_labels_of_the_boxes_do_not_matter(bright_estimator, dots) -> None:
    boxes, centres = dots
    shuffled = boxes.iloc[[4, 0, 5, 2, 1, 3]]
    found = estimate_boxes(bright_estimator(), shuffled)
    assert np.abs(found.poses.keypoints - centres[[4, 0, 5, 2, 1, 3], None]).max() < 4


def test_one_image_gives_the_same_as_a_table(bright_estimator, dots) -> None:
    boxes, _ = dots
    own = boxes[boxes["image_id"] == 1]
    estimator = bright_estimator(score="mean")
    table = estimate_boxes(estimator, own).poses
    image = read_image(Path(own["image_path"].iloc[0]))
    single = estimator.estimate(image, own[list(BBOX_COLUMNS)].to_numpy(), own["bbox_score"].to_numpy())
    np.testing.assert_array_equal(single.keypoints, table.keypoints)
    np.testing.assert_array_equal(single.pose_scores, table.pose_scores)
    np.testing.assert_allclose(single.pose_scores, single.keypoint_scores.mean(axis=1) * own["bbox_score"], rtol=1e-6)


def test_the_flip_test_finds_the_same_place(bright_estimator, dots) -> None:
    boxes, centres = dots
    found = estimate_boxes(bright_estimator(flip=True), boxes)
    assert np.abs(found.poses.keypoints - centres[:, None]).max() < 4


def test_no_boxes_give_no_poses(bright_estimator, dots) -> None:
    boxes, _ = dots
    none = estimate_boxes(bright_estimator(), boxes[:0])
    assert len(none) == 0
    assert none.poses.keypoints.shape == (0, 17, 2)
    assert list(none.rows) == list(BOX_ROWS)
    assert len(bright_estimator().estimate(np.zeros((10, 10, 3), np.uint8), np.zeros((0, 4), np.float32))) == 0


def test_an_image_that_cannot_be_read_is_named(bright_estimator, dots) -> None:
    boxes, _ = dots
    with pytest.raises(DataError, match=r"gone\.png"):
        estimate_boxes(bright_estimator(), boxes.assign(image_path="gone.png"))


def test_reading_ahead_keeps_the_order_and_its_bound() -> None:
    started: list[int] = []

    def job(number: int):
        def work() -> int:
            started.append(number)
            return number

        return work

    results = read_ahead((job(number) for number in range(20)), threads=2, depth=4)
    assert next(results) == 0
    assert len(started) <= 4
    assert list(results) == list(range(1, 20))
