"""Bounding boxes: conversions, area, overlap and padding to an aspect. Corners in pixels; width is x2 - x1."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

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


def pad_to_aspect(
    bbox_xyxy: Float[np.ndarray, "N 4"], aspect: float, padding: float
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
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
