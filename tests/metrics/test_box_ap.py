"""Box AP against pycocotools: the same bits."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poseline.metrics.box_ap import score_boxes
from poseline.metrics.keypoint_types import GroundTruth


def official(ground_truth: GroundTruth, image_ids: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> list[float | None]:
    people = [
        {"id": i + 1, "image_id": int(ground_truth.image_ids[ground_truth.image_index[i]]), "category_id": 1,
         "bbox": ground_truth.bbox_xywh[i].tolist(),
         "area": float(ground_truth.area[i]), "iscrowd": int(ground_truth.is_crowd[i])}
        for i in range(len(ground_truth))
    ]  # fmt: skip
    rows = [
        {"image_id": int(i), "category_id": 1, "bbox": box.tolist(), "score": float(s)}
        for i, box, s in zip(image_ids, boxes, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": int(i)} for i in ground_truth.image_ids], "annotations": people, "categories": [{"id": 1}]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats]


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_official_tool(draw_set, seed):
    ground_truth, _ = draw_set(seed, images=25, people=[6, 20][seed % 2])
    rng = np.random.default_rng(seed)
    source = rng.integers(0, len(ground_truth), 4 * len(ground_truth))
    boxes = ground_truth.bbox_xywh[source] + rng.normal(0, 1, (len(source), 4)) * rng.choice([0, 2, 20], (len(source), 1))
    boxes[:, 2:] = np.abs(boxes[:, 2:]) + 1
    scores = np.round(rng.random(len(source)), 2)
    image_ids = ground_truth.image_ids[ground_truth.image_index[source]]
    metrics = score_boxes(ground_truth, image_ids, boxes, scores)
    stats = official(ground_truth, image_ids, boxes, scores)
    expected = [stats[i] for i in (0, 1, 2, 8, 3, 4, 5)]
    assert [metrics[k] for k in ("ap", "ap50", "ap75", "ar", "ap_small", "ap_medium", "ap_large")] == expected


def test_no_boxes(draw_set):
    ground_truth, _ = draw_set(1)
    assert score_boxes(ground_truth, np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))["ap"] == 0.0
