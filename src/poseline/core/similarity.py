"""Similarity of poses: object keypoint similarity (OKS) and distances in units of a reference size."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Integer


def oks_matrix(
    keypoints_a: Float[np.ndarray, "N K 2"],
    keypoints_b: Float[np.ndarray, "M K 2"],
    visibility_b: Integer[np.ndarray, "M K"],
    area_b: Float[np.ndarray, " M"],
    sigmas: Float[np.ndarray, " K"],
    *,
    bbox_xywh_b: Float[np.ndarray, "M 4"] | None = None,
) -> Float[np.ndarray, "N M"]:
    """OKS of every pair, float64 in [0, 1]: the mean over b's labelled keypoints of exp(-d² / (2 area (2 sigma)²)).

    Where b has no labelled keypoint, its box extended by its own size on every side stands in: d is the distance of a
    keypoint to that region. Without ``bbox_xywh_b`` such a pair has OKS 0.

    Args:
        keypoints_a: predicted poses, pixels.
        keypoints_b: ground-truth poses, pixels.
        visibility_b: a keypoint counts where this is above 0.
        area_b: px².
        sigmas: per-keypoint fall-off.
        bbox_xywh_b: top-left, width and height of the ground-truth boxes, pixels.

    Reference:
        COCO keypoint evaluation (pycocotools ``computeOks``), the same bits.

    >>> pose = np.array([[[10.0, 10.0], [20.0, 20.0]]])
    >>> oks_matrix(pose, pose, np.array([[2, 1]]), np.array([100.0]), np.array([0.05, 0.05])).tolist()
    [[1.0]]
    """
    n, m = len(keypoints_a), len(keypoints_b)
    index_a, index_b = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    bbox = None if bbox_xywh_b is None else np.asarray(bbox_xywh_b)[index_b]
    pairs = oks_pairs(
        np.asarray(keypoints_a)[index_a],
        np.asarray(keypoints_b)[index_b],
        np.asarray(visibility_b)[index_b],
        np.asarray(area_b)[index_b],
        sigmas,
        bbox_xywh_b=bbox,
    )
    return pairs.reshape(n, m)


def oks_pairs(
    keypoints_a: Float[np.ndarray, "P K 2"],
    keypoints_b: Float[np.ndarray, "P K 2"],
    visibility_b: Integer[np.ndarray, "P K"],
    area_b: Float[np.ndarray, " P"],
    sigmas: Float[np.ndarray, " K"],
    *,
    bbox_xywh_b: Float[np.ndarray, "P 4"] | None = None,
) -> Float[np.ndarray, " P"]:
    """OKS of P given pairs; the rule of :func:`oks_matrix`.

    >>> a, b = np.zeros((1, 1, 2)), np.array([[[1.0, 0.0]]])
    >>> oks_pairs(a, b, np.array([[2]]), np.array([50.0]), np.array([0.05])).round(4).tolist()
    [0.3679]
    """
    visible = np.asarray(visibility_b) > 0
    similarity = keypoint_similarity(keypoints_a, keypoints_b, area_b, sigmas)
    unlabelled = np.asarray(~visible.any(axis=1))
    if unlabelled.any():
        if bbox_xywh_b is None:
            similarity[unlabelled] = 0.0
        else:
            squared = _squared_distance_to_region(np.asarray(keypoints_a)[unlabelled], np.asarray(bbox_xywh_b)[unlabelled])
            similarity[unlabelled] = _fall_off(squared, np.asarray(area_b)[unlabelled], sigmas)
        visible = visible | unlabelled[:, None]
    return _mean_of_chosen(similarity, visible)


def keypoint_similarity(
    keypoints_a: Float[np.ndarray, "P K 2"],
    keypoints_b: Float[np.ndarray, "P K 2"],
    area_b: Float[np.ndarray, " P"],
    sigmas: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "P K"]:
    """Each keypoint's term of OKS, exp(-d² / (2 area (2 sigma)²)), for P given pairs; visibility is not considered."""
    delta = np.asarray(keypoints_a, dtype=np.float64) - np.asarray(keypoints_b, dtype=np.float64)
    return _fall_off(delta[..., 0] ** 2 + delta[..., 1] ** 2, np.asarray(area_b), sigmas)


def pck_distances(
    predicted: Float[np.ndarray, "N K 2"], ground_truth: Float[np.ndarray, "N K 2"], reference_size: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N K"]:
    """Distance of each keypoint in units of the person's reference size (PCKh: the head size), float64.

    >>> pck_distances(np.array([[[3.0, 4.0]]]), np.zeros((1, 1, 2)), np.array([10.0])).tolist()
    [[0.5]]
    """
    delta = np.asarray(predicted, dtype=np.float64) - np.asarray(ground_truth, dtype=np.float64)
    return np.linalg.norm(delta, axis=-1) / np.asarray(reference_size, dtype=np.float64)[:, None]


def _fall_off(
    squared: Float[np.ndarray, "P K"], area: Float[np.ndarray, " P"], sigmas: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "P K"]:
    # The order of the divisions is pycocotools', so that the last bit agrees.
    variances = (np.asarray(sigmas, dtype=np.float64) * 2) ** 2
    exponent = squared / variances / (np.asarray(area, dtype=np.float64) + np.spacing(1.0))[:, None] / 2
    return np.exp(-exponent)


def _squared_distance_to_region(keypoints: Float[np.ndarray, "P K 2"], bbox_xywh: Float[np.ndarray, "P 4"]) -> Float[np.ndarray, "P K"]:
    """Squared distance of each keypoint to the region from x - w to x + 2 w (and so in y)."""
    points, box = np.asarray(keypoints, dtype=np.float64), np.asarray(bbox_xywh, dtype=np.float64)
    low, high = (box[:, :2] - box[:, 2:])[:, None], (box[:, :2] + box[:, 2:] * 2)[:, None]
    delta = np.maximum(0, low - points) + np.maximum(0, points - high)
    return delta[..., 0] ** 2 + delta[..., 1] ** 2


def _mean_of_chosen(values: Float[np.ndarray, "P K"], chosen: Bool[np.ndarray, "P K"]) -> Float[np.ndarray, " P"]:
    """Mean over each row's chosen entries; rows of one count are summed together, in the order of a single row's sum."""
    mean = np.zeros(len(values))
    counts = chosen.sum(axis=1)
    for count in np.unique(counts[counts > 0]):
        rows = counts == count
        mean[rows] = values[rows][chosen[rows]].reshape(-1, count).sum(axis=1) / count
    return mean
