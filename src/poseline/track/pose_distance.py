"""Pose Flow's measures: a pose's confidence, the distance of poses in one frame and the similarity of poses in two.

Sums over keypoints in the paper are means here, so that thresholds hold for any number of keypoints.

Reference:
    Xiu et al., Pose Flow: Efficient Online Pose Tracking, BMVC 2018, section 3.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from poseline.config.tracking import PoseflowConfig
from poseline.core.boxes import box_iou
from poseline.core.poses import PoseSet
from poseline.track.poseflow_published import contains


def pose_confidence(poses: PoseSet, config: PoseflowConfig) -> Float[np.ndarray, " N"]:
    """s(P) = w_box * box score + mean keypoint score + w_max * best keypoint score."""
    if not poses.num_keypoints or not len(poses):
        return config.box_weight * poses.bbox_scores.astype(np.float64)
    scores = poses.keypoint_scores.astype(np.float64)
    return np.asarray(
        config.box_weight * poses.bbox_scores.astype(np.float64) + scores.mean(axis=1) + config.max_weight * scores.max(axis=1)
    )


def intra_frame_distance(
    a: Float[np.ndarray, "P K 2"],
    b: Float[np.ndarray, "P K 2"],
    scores_a: Float[np.ndarray, "P K"],
    scores_b: Float[np.ndarray, "P K"],
    size: Float[np.ndarray, " P"],
    config: PoseflowConfig,
) -> Float[np.ndarray, " P"]:
    """d_f = 1 / K_sim + lambda / H_sim of P pairs of poses in one frame; infinite where they share no joint box.

    K_sim is the mean of tanh(c_a / sigma1) tanh(c_b / sigma1) over the keypoints of b inside a's joint boxes, H_sim the mean of
    exp(-d² / sigma2²), where sigma2 grows with the person.

    Args:
        a: keypoints, pixels.
        b: the other poses' keypoints.
        scores_a: keypoint scores.
        scores_b: the same for b.
        size: larger side of a's person box, pixels.
        config: constants.
    """
    delta = a - b
    inside = (np.abs(delta) <= (config.joint_box * size / 2)[:, None, None]).all(axis=-1)
    confidence = np.tanh(scores_a / config.keypoint_sigma) * np.tanh(scores_b / config.keypoint_sigma)
    sigma = config.distance_sigma_px * size / config.reference_size_px
    count = max(a.shape[1], 1)
    k_sim = (confidence * inside).sum(axis=1) / count
    h_sim = np.exp(-(delta**2).sum(axis=-1) / np.maximum(sigma, 1e-6)[:, None] ** 2).sum(axis=1) / count
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(1 / k_sim + config.distance_weight / h_sim)


def inter_frame_similarity(
    expected: Float[np.ndarray, "N K 2"],
    seen: Bool[np.ndarray, "N K"],
    boxes: Float[np.ndarray, "N 4"],
    poses: PoseSet,
    seen_now: Bool[np.ndarray, "M K"],
    joint_box: float,
) -> Float[np.ndarray, "N M"]:
    """Mean fraction of each joint box, moved to where it is expected, that the new pose's joint box covers: 0..1.

    It is the paper's count of matched over extracted features in the limit of dense features that move with the joint. Keypoints not seen
    in both poses are left out; where none is left the boxes' IoU stands in.

    Args:
        expected: the previous poses' keypoints, moved into this frame.
        seen: which of them score high enough.
        boxes: the previous poses' boxes.
        poses: the new poses.
        seen_now: which of their keypoints score high enough.
        joint_box: side of a joint box over the larger side of the person's.
    """
    shared = seen[:, None] & seen_now[None]
    fraction = _overlap(expected, boxes, poses.keypoints.astype(np.float64), joint_box)
    return _mean_over_shared(fraction, shared, boxes, poses)


def feature_similarity(
    keypoints: Float[np.ndarray, "N K 2"],
    expected: Float[np.ndarray, "N K 2"],
    seen: Bool[np.ndarray, "N K"],
    boxes: Float[np.ndarray, "N 4"],
    poses: PoseSet,
    seen_now: Bool[np.ndarray, "M K"],
    joint_box: float,
    correspondences: Float[np.ndarray, "C 4"],
) -> Float[np.ndarray, "N M"]:
    """The paper's inter-frame similarity: mean over joints of matched features over features found in the joint box.

    A joint box without a feature counts as in :func:`inter_frame_similarity`.
    """
    half_before = joint_box * _larger_side(boxes)[:, None, None] / 2
    half_now = joint_box * _larger_side(poses.bbox_xyxy.astype(np.float64))[:, None, None] / 2
    now = poses.keypoints.astype(np.float64)
    start = contains(np.concatenate([keypoints - half_before, keypoints + half_before], axis=-1), correspondences[:, :2])
    end = contains(np.concatenate([now - half_now, now + half_now], axis=-1), correspondences[:, 2:])
    matched = np.moveaxis(start.astype(np.float32) @ np.swapaxes(end.astype(np.float32), 1, 2), 0, -1)
    found = start.sum(axis=2).T[:, None]
    fraction = np.where(found > 0, matched / np.maximum(found, 1), _overlap(expected, boxes, now, joint_box))
    return _mean_over_shared(fraction, seen[:, None] & seen_now[None], boxes, poses)


def _overlap(
    expected: Float[np.ndarray, "N K 2"], boxes: Float[np.ndarray, "N 4"], now: Float[np.ndarray, "M K 2"], joint_box: float
) -> Float[np.ndarray, "N M K"]:
    side = np.maximum(joint_box * _larger_side(boxes), 1e-6)[:, None, None]
    x = np.abs(expected[:, None, :, 0] - now[None, :, :, 0]) / side
    y = np.abs(expected[:, None, :, 1] - now[None, :, :, 1]) / side
    return np.asarray(np.maximum(1 - x, 0) * np.maximum(1 - y, 0))


def _larger_side(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]))


def _mean_over_shared(
    fraction: Float[np.ndarray, "N M K"], shared: Bool[np.ndarray, "N M K"], boxes: Float[np.ndarray, "N 4"], poses: PoseSet
) -> Float[np.ndarray, "N M"]:
    count = shared.sum(axis=-1)
    mean = (fraction * shared).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, box_iou(boxes, poses.bbox_xyxy))
