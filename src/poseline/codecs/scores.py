"""Confidence of a whole pose from its box's and its keypoints'."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

ScoreRule = Literal["mean", "mean_visible", "published"]

VISIBLE_SCORE = 0.2
"""Keypoint score above which ``mean_visible`` counts a keypoint."""


def pose_score(
    keypoint_scores: Float[np.ndarray, "N K"], box_scores: Float[np.ndarray, " N"], rule: ScoreRule = "mean_visible"
) -> Float[np.ndarray, " N"]:
    """Pose confidences, float32; 0..1 where the inputs are, but for ``published``, which reaches 3.25.

    Args:
        keypoint_scores: one a keypoint.
        box_scores: of the detections; zeros make ``published`` leave the box out, as it does for ground-truth boxes.
        rule: ``mean``: box score x mean keypoint score; ``mean_visible``: the mean over keypoints scored above 0.2 only,
            0 where there is none; ``published``: box score + mean + 1.25 maximum.

    Reference:
        ``mean_visible``: Xiao et al., Simple Baselines, ECCV 2018; ``published``: Fang et al., AlphaPose, TPAMI 2022.

    >>> pose_score(np.array([[0.75, 0.1]]), np.array([0.5])).tolist()
    [0.375]
    >>> pose_score(np.array([[1.0, 0.5]]), np.array([0.5]), "published").tolist()
    [2.5]
    """
    scores = np.asarray(keypoint_scores, dtype=np.float64)
    boxes = np.asarray(box_scores, dtype=np.float64)
    match rule:
        case "mean":
            pose = boxes * scores.mean(axis=1)
        case "mean_visible":
            visible = scores > VISIBLE_SCORE
            pose = boxes * (scores * visible).sum(axis=1) / np.maximum(visible.sum(axis=1), 1)
        case "published":
            pose = boxes + scores.mean(axis=1) + 1.25 * scores.max(axis=1)
    return np.asarray(pose, dtype=np.float32)
