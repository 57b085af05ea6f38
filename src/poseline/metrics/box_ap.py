"""Average precision of the person boxes that a detector gave, by COCO's rule."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from poseline.metrics.keypoint_types import AREA_RANGES, OKS_THRESHOLDS, GroundTruth, locate_images
from poseline.metrics.match_table import MatchTable, precision_recall
from poseline.metrics.matching import pair_up, rank_detections, tabulate_matches

BOX_SLICES = ("all", "small", "medium", "large")
_RANGES = np.concatenate([AREA_RANGES[:1], [[0.0, 32.0**2]], AREA_RANGES[1:]])


def score_boxes(
    ground_truth: GroundTruth,
    image_ids: Int[np.ndarray, " N"],
    bbox_xywh: Float[np.ndarray, "N 4"],
    scores: Float[np.ndarray, " N"],
    *,
    max_detections: int = 100,
) -> dict[str, float | None]:
    """Box AP and AR as fractions: ap, ap50, ap75, ap_small, ap_medium, ap_large, ar; None where no person is counted.

    Crowds are ignored; people without labelled keypoints count.

    Raises:
        DataError: an image that the ground truth lacks.

    Reference:
        pycocotools COCOeval(iouType="bbox"), the same bits.
    """
    matches = match_boxes(ground_truth, image_ids, bbox_xywh, scores, max_detections=max_detections)
    precision, recall = precision_recall(matches)
    values = {"ap": precision[0], "ap50": precision[0, 0], "ap75": precision[0, 5], "ar": recall[0]}
    values |= {f"ap_{name}": precision[index] for index, name in enumerate(BOX_SLICES) if index}
    return {name: None if np.isnan(curve).any() else float(np.mean(curve)) for name, curve in values.items()}


def match_boxes(
    ground_truth: GroundTruth,
    image_ids: Int[np.ndarray, " N"],
    bbox_xywh: Float[np.ndarray, "N 4"],
    scores: Float[np.ndarray, " N"],
    *,
    max_detections: int = 100,
) -> MatchTable:
    """The table of matches of boxes in the slices all, small, medium, large."""
    boxes, scores = np.asarray(bbox_xywh, dtype=np.float64).reshape(-1, 4), np.asarray(scores, dtype=np.float64)
    image_index = locate_images(ground_truth.image_ids, image_ids, "boxes")
    kept, ranks = rank_detections(image_index, scores, max_detections)
    images = image_index[kept]
    pairs = pair_up(images, ground_truth.image_index, len(ground_truth.image_ids))
    return tabulate_matches(
        ground_truth,
        _overlap(boxes[kept[pairs[0]]], ground_truth, pairs[1]),
        pairs,
        kept=kept,
        images=images,
        ranks=ranks,
        scores=scores[kept],
        ground_truth_ignored=_outside(ground_truth.area) | ground_truth.is_crowd,
        unmatched_ignored=_outside((boxes[:, 2] * boxes[:, 3])[kept]),
        thresholds=OKS_THRESHOLDS,
        slices=BOX_SLICES,
    )


def _overlap(boxes: Float[np.ndarray, "P 4"], ground_truth: GroundTruth, people: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """IoU of pairs; against a crowd the fraction of the detection that lies in it."""
    true = ground_truth.bbox_xywh[people]
    low = np.maximum(boxes[:, :2], true[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], true[:, :2] + true[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    own, other = boxes[:, 2] * boxes[:, 3], true[:, 2] * true[:, 3]
    union = np.where(ground_truth.is_crowd[people], own, own + other - shared)
    return np.divide(shared, union, out=np.zeros(len(shared)), where=union > 0)


def _outside(area: Float[np.ndarray, " N"]) -> np.ndarray:
    return (area[None] < _RANGES[:, :1]) | (area[None] > _RANGES[:, 1:])
