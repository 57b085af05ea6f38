"""Similarity of tracks and poses, and which go together."""

from __future__ import annotations

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second
from jaxtyping import Bool, Float, Int

from poseline.core.assignment import match
from poseline.core.boxes import box_area
from poseline.core.poses import PoseSet
from poseline.core.similarity import oks_pairs


def match_similar(similarity: Float[np.ndarray, "T N"], min_similarity: float) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Rows and columns of pairs at or above ``min_similarity`` with the greatest total excess over it.

    A good pair is not broken up for two poor ones: leaving a row and a column alone costs as much as a pair at the limit.

    >>> rows, columns = match_similar(np.array([[0.9, 0.3], [0.3, 0.0]]), 0.2)
    >>> rows.tolist(), columns.tolist()
    ([0], [0])
    """
    num_rows, num_columns = similarity.shape
    if not num_rows or not num_columns:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    limit = 1.0 - min_similarity
    cost = np.full((num_rows + num_columns,) * 2, limit / 2)
    cost[num_rows:, num_columns:] = 0.0
    cost[:num_rows, :num_columns] = np.where(similarity >= min_similarity, 1.0 - similarity, np.inf)
    rows, columns = match(cost, max(limit, 0.0) + 1.0)
    real = (rows < num_rows) & (columns < num_columns)
    return rows[real], columns[real]


def match_evidence(evidence: Float[np.ndarray, "T N"]) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Rows and columns of pairs of positive evidence with the greatest total: a row or column left alone counts 0.

    >>> rows, columns = match_evidence(np.array([[3.0, 2.5], [2.0, -1.0]]))
    >>> rows.tolist(), columns.tolist()
    ([0, 1], [1, 0])
    """
    rows, columns = scipy.optimize.linear_sum_assignment(-np.maximum(evidence, 0))
    keep = evidence[rows, columns] > 0
    return rows[keep], columns[keep]


def pose_similarity(
    bbox_xyxy: Float[np.ndarray, "T 4"],
    keypoints: Float[np.ndarray, "T K 2"],
    known: Bool[np.ndarray, "T K"],
    poses: PoseSet,
    seen: Bool[np.ndarray, "N K"],
    *,
    sigmas: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "T N"]:
    """OKS of every track and pose, 0..1; NaN where they share no keypoint, 0 where their boxes lie apart.

    Args:
        bbox_xyxy: the tracks' boxes.
        keypoints: the tracks' keypoints.
        known: which of them have ever been seen.
        poses: the new poses.
        seen: which of their keypoints score high enough.
        sigmas: OKS fall-off.
    """
    similarity = np.zeros((len(bbox_xyxy), len(poses)))
    rows, columns = np.nonzero(_near(bbox_xyxy, poses.bbox_xyxy))
    similarity[rows, columns] = moved_oks(keypoints[rows], poses, columns, known[rows] & seen[columns], sigmas)
    return similarity


def moved_oks(
    keypoints: Float[np.ndarray, "P K 2"],
    poses: PoseSet,
    columns: Int[np.ndarray, " P"],
    shared: Bool[np.ndarray, "P K"],
    sigmas: Float[np.ndarray, " K"],
) -> Float[np.ndarray, " P"]:
    """OKS of P pairs of keypoints and a pose (its row in ``poses``), 0..1; NaN where they share no keypoint."""
    area = np.maximum(box_area(poses.bbox_xyxy), 1.0)[columns]
    oks = oks_pairs(keypoints, poses.keypoints[columns], shared.astype(np.uint8), area, sigmas)
    return np.where(shared.any(axis=1), oks, np.nan)


def combined_similarity(iou: Float[np.ndarray, "T N"], oks: Float[np.ndarray, "T N"], oks_weight: float) -> Float[np.ndarray, "T N"]:
    """Weighted mean of box IoU and OKS; IoU where OKS is not known (NaN)."""
    return np.where(np.isnan(oks), iou, (1 - oks_weight) * iou + oks_weight * np.nan_to_num(oks))


def _near(a: Float[np.ndarray, "T 4"], b: Float[np.ndarray, "N 4"]) -> Bool[np.ndarray, "T N"]:
    """Pairs of boxes whose centres are closer than their sizes together: elsewhere OKS is 0 for any use."""
    centre_a, centre_b = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    reach = np.abs(a[:, 2:] - a[:, :2])[:, None] + np.abs(b[:, 2:] - b[:, :2])[None]
    return np.asarray((np.abs(centre_a[:, None] - centre_b[None]) < 0.6 * reach + 1.0).all(axis=-1))
