"""Bounding boxes: conversions, overlap, aspect padding and suppression. Corners in pixels; width is x2 - x1."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

AREA_OF_BOX = 0.53
"""Area of a person over that of its box where a data set has no masks: the field's convention for OKS."""


def xywh_to_xyxy(bbox_xywh: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 4"]:
    """Corners from top-left, width and height: x2 = x + w.

    >>> xywh_to_xyxy(np.array([[1.0, 2, 3, 4]])).tolist()
    [[1.0, 2.0, 4.0, 6.0]]
    """
    boxes = np.asarray(bbox_xywh)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(bbox_xyxy: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 4"]:
    """Top-left, width and height from corners.

    >>> xyxy_to_xywh(np.array([[1.0, 2, 4, 6]])).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    boxes = np.asarray(bbox_xyxy)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def clip_boxes(bbox_xyxy: Float[np.ndarray, "N 4"], image_wh: tuple[int, int]) -> Float[np.ndarray, "N 4"]:
    """Boxes cut to the picture's span, [0, W] x [0, H]."""
    width, height = image_wh
    return np.clip(bbox_xyxy, 0, np.array([width, height, width, height], dtype=np.asarray(bbox_xyxy).dtype))


def box_area(bbox_xyxy: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Area in px²; 0 for an inverted box."""
    boxes = np.asarray(bbox_xyxy)
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def box_iou(a: Float[np.ndarray, "N 4"], b: Float[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """Intersection over union of every pair; 0 where both areas are 0.

    >>> box_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [0.0, 0, 2, 2]])).round(4).tolist()
    [[0.1429, 1.0]]
    """
    a, b = np.asarray(a, dtype=np.float64).reshape(-1, 4), np.asarray(b, dtype=np.float64).reshape(-1, 4)
    span = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = np.prod(np.maximum(span, 0), axis=-1)
    union = box_area(a)[:, None] + box_area(b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_nms(bbox_xyxy: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"], iou_threshold: float) -> Int[np.ndarray, " M"]:
    """Indices kept by greedy suppression, best score first; ties keep file order.

    >>> box_nms(np.array([[0.0, 0, 9, 9], [1, 1, 9, 9], [20, 20, 30, 30]]), np.array([0.5, 0.9, 0.3]), 0.5).tolist()
    [1, 2]
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    iou = box_iou(bbox_xyxy, bbox_xyxy)
    kept: list[int] = []
    for index in order:
        if all(iou[index, other] <= iou_threshold for other in kept):
            kept.append(int(index))
    return np.asarray(kept, dtype=np.int64)


def pad_to_aspect(bbox_xyxy: Float[np.ndarray, "N 4"], aspect: float, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre and size of boxes grown to width/height = ``aspect`` and then scaled by ``padding``.

    Returns:
        centre [N, 2] and size_wh [N, 2], float32 pixels.

    Reference:
        The crop rule of top-down estimators since simple-baselines (padding 1.25).
    """
    boxes = np.asarray(bbox_xyxy, dtype=np.float32).reshape(-1, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    wide = width > aspect * height
    across, upright = np.stack([width, width / np.float32(aspect)], -1), np.stack([height * np.float32(aspect), height], -1)
    size_wh = np.where(wide[:, None], across, upright)
    return centre, (size_wh * np.float32(padding)).astype(np.float32)
