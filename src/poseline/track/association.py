"""Similarity of tracks and poses, with and without overlap, and which go together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.config.tracking import RelinkConfig
from poseline.core.assignment import match
from poseline.core.boxes import box_area, box_iou
from poseline.core.poses import PoseSet
from poseline.core.similarity import oks_pairs
from poseline.track.kalman import MotionState
from poseline.track.person_motion import boxes_of


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


def pose_similarity(
    bbox_xyxy: Float[np.ndarray, "T 4"],
    keypoints: Float[np.ndarray, "T K 2"],
    known: Bool[np.ndarray, "T K"],
    poses: PoseSet,
    seen: Bool[np.ndarray, "N K"],
    *,
    sigmas: Float[np.ndarray, " K"],
    oks_weight: float,
) -> Float[np.ndarray, "T N"]:
    """Weighted mean of OKS and box IoU of every track and pose, 0..1; only IoU where they share no keypoint.

    Args:
        bbox_xyxy: the tracks' boxes.
        keypoints: the tracks' keypoints.
        known: which of them have ever been seen.
        poses: the new poses.
        seen: which of their keypoints score high enough.
        sigmas: OKS fall-off.
        oks_weight: weight of OKS.
    """
    iou = box_iou(bbox_xyxy, poses.bbox_xyxy)
    similarity = (1 - oks_weight) * iou
    rows, columns = np.nonzero(_near(bbox_xyxy, poses.bbox_xyxy))
    shared = known[rows] & seen[columns]
    area = np.maximum(box_area(poses.bbox_xyxy), 1.0)
    oks = oks_pairs(keypoints[rows], poses.keypoints[columns], shared.astype(np.uint8), area[columns], sigmas)
    # A box alone says less than a box with a pose in it, yet a pose without keypoints must find its track.
    similarity[rows, columns] = np.where(shared.any(axis=1), similarity[rows, columns] + oks_weight * oks, iou[rows, columns])
    return similarity


def blend(similarity: Float[np.ndarray, "T N"], appearance: Float[np.ndarray, "T N"], weight: float) -> Float[np.ndarray, "T N"]:
    """Similarity mixed with appearance of weight ``weight``, where that is known (not NaN) and the pair has any overlap."""
    mixed = (1 - weight) * similarity + weight * np.nan_to_num(appearance)
    return np.where(np.isnan(appearance) | (similarity <= 0), similarity, mixed)


def relink_similarity(
    motion: MotionState,
    lost: Int[np.ndarray, " T"],
    poses: PoseSet,
    appearance: Float[np.ndarray, "T N"],
    config: RelinkConfig,
) -> Float[np.ndarray, "T N"]:
    """Mean of nearness, similarity of size and, where known, appearance: 0..1; 0 beyond the reach or where the appearance differs.

    Args:
        motion: the tracks, predicted into this frame.
        lost: frames since each track was seen.
        poses: the new poses.
        appearance: cosine, NaN where unknown.
        config: reach and thresholds.
    """
    track_boxes, boxes = boxes_of(motion), poses.bbox_xyxy.astype(np.float64)
    track_side = track_boxes[:, 2:] - track_boxes[:, :2]
    side = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    track_size, size = np.sqrt(track_side.prod(axis=1)), np.sqrt(side.prod(axis=1))
    distance = np.linalg.norm((track_boxes[:, :2] + track_boxes[:, 2:])[:, None] / 2 - (boxes[:, :2] + boxes[:, 2:])[None] / 2, axis=-1)
    reach = np.minimum(config.reach + config.reach_growth * np.maximum(lost - 1, 0), config.max_reach) * track_size
    nearness = np.clip(1 - distance / np.maximum(reach, 1e-6)[:, None], 0, 1)
    ratio = np.minimum(track_size[:, None], size[None]) / np.maximum(track_size[:, None], size[None])
    unknown = np.isnan(appearance)
    similarity = np.where(unknown, (nearness + ratio) / 2, (nearness + ratio + np.nan_to_num(appearance)) / 3)
    barred = (distance > reach[:, None]) | (~unknown & (appearance < config.min_appearance))
    return np.where(barred, 0.0, similarity)


def _near(a: Float[np.ndarray, "T 4"], b: Float[np.ndarray, "N 4"]) -> Bool[np.ndarray, "T N"]:
    """Pairs of boxes whose centres are closer than their sizes together: elsewhere OKS is 0 for any use."""
    centre_a, centre_b = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    reach = np.abs(a[:, 2:] - a[:, :2])[:, None] + np.abs(b[:, 2:] - b[:, :2])[None]
    return np.asarray((np.abs(centre_a[:, None] - centre_b[None]) < 0.6 * reach + 1.0).all(axis=-1))
