"""Suppression of duplicates in one image: NMS of boxes, and of poses (parametric, OKS and soft OKS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.boxes import box_area, box_iou
from poseline.core.similarity import oks_pairs

NmsMode = Literal["published", "fixed"]
FULL_BODY_COUNTS = (133, 136)
_NUM_FACE, _NUM_HANDS = 68, 42


@dataclass(frozen=True)
class PoseNmsConstants:
    """Constants of parametric pose NMS.

    Attributes:
        soft_px: fall-off of the distance term (delta2), pixels.
        weight: weight of the distance term (mu).
        similarity: poses of a higher similarity are one person (gamma).
        score: a person whose best keypoint scores less is dropped.
        matches: poses with this many keypoints close together are one person.
        box_fraction: reference distance as a fraction of the longer box side (alpha).
    """

    soft_px: float = 2.65
    weight: float = 1.7
    similarity: float = 22.48
    score: float = 0.3
    matches: float = 5.0
    box_fraction: float = 0.1


HEATMAP_CONSTANTS = PoseNmsConstants()
REGRESSION_FULL_BODY_CONSTANTS = PoseNmsConstants(soft_px=8.0, weight=1.65, similarity=3.6, score=0.01, matches=3.0, box_fraction=0.15)


def parametric_pose_nms(
    keypoints: Float[np.ndarray, "N K 2"],
    keypoint_scores: Float[np.ndarray, "N K"],
    bbox_xyxy: Float[np.ndarray, "N 4"],
    box_scores: Float[np.ndarray, " N"],
    *,
    mode: NmsMode = "published",
    constants: PoseNmsConstants = HEATMAP_CONSTANTS,
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, "M K 2"], Float[np.ndarray, "M K"], Float[np.ndarray, " M"]]:
    """Index of each kept pose (best mean keypoint score first), its merged keypoints, their scores and the pose scores.

    Args:
        keypoints: pixels.
        keypoint_scores: confidence of each keypoint.
        bbox_xyxy: the detector's boxes, pixels; the longer side sets each person's reference distance.
        box_scores: the detector's scores.
        mode: ``published`` is AlphaPose's rule, bit for bit. ``fixed`` is the rule without its defects: a box of zero
            size gets a reference distance of one pixel, scores below 0 do not weigh in a merge, and for 133 or 136
            keypoints the confident ones (not the others) are compared, whatever the number of people.
        constants: :data:`REGRESSION_FULL_BODY_CONSTANTS` for a full-body network trained by regression.

    Returns:
        kept_index [M], keypoints [M, K, 2], keypoint_scores [M, K] float32, pose_scores [M] float64 =
        mean + box score + 1.25 max of the merged keypoint scores.

    Raises:
        ValueError: arrays whose shapes do not agree.

    Reference:
        Fang et al., RMPE: Regional Multi-person Pose Estimation, ICCV 2017, eq. 8-11, with the constants of its release.

    >>> poses = np.tile(np.arange(34.0).reshape(1, 17, 2) * 9, (2, 1, 1)) + np.array([0.0, 0.5])[:, None, None]
    >>> scores = np.stack([np.full(17, 0.9), np.full(17, 0.6)])
    >>> kept, *_ = parametric_pose_nms(poses, scores, np.tile([0.0, 0, 300, 300], (2, 1)), np.array([0.9, 0.8]))
    >>> kept.tolist()
    [0]
    """
    points = np.asarray(keypoints, dtype=np.float32)
    scores, boxes, box_scores = _checked(points, keypoint_scores, bbox_xyxy, box_scores)
    scores = np.where(scores == 0, np.float32(1e-5), scores)
    if mode == "fixed":
        scores = np.maximum(scores, np.float32(1e-5))
    reference_px = np.float32(constants.box_fraction) * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=-np.inf)
    if mode == "fixed":
        reference_px = np.maximum(reference_px, np.float32(1.0))
    if points.shape[1] in FULL_BODY_COUNTS:
        groups = _group_full_body(points, scores, reference_px, constants, mode)
    else:
        groups = _group_body(points, scores, reference_px, constants)
    picks, merged, confidence = _merge(points, scores, groups, np.minimum(reference_px, np.float32(15)))
    best = np.minimum(scores[picks].max(axis=1, initial=-np.inf), confidence.max(axis=1, initial=-np.inf))
    keep = best >= constants.score
    index, confidence = picks[keep], confidence[keep]
    pose_scores = confidence.mean(axis=1, dtype=np.float64) + box_scores[index] + 1.25 * confidence.max(axis=1, initial=-np.inf)
    return index, merged[keep], confidence, pose_scores


def _checked(
    points: Float[np.ndarray, "N K 2"], keypoint_scores: np.ndarray, bbox_xyxy: np.ndarray, box_scores: np.ndarray
) -> tuple[Float[np.ndarray, "N K"], Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"keypoints: expected shape [N, K, 2], got {points.shape}")
    count, num_keypoints = points.shape[:2]
    scores = np.asarray(keypoint_scores, dtype=np.float32)
    boxes = np.asarray(bbox_xyxy, dtype=np.float32)
    box_scores = np.asarray(box_scores, dtype=np.float64)
    for name, array, shape in (
        ("keypoint_scores", scores, (count, num_keypoints)),
        ("bbox_xyxy", boxes, (count, 4)),
        ("box_scores", box_scores, (count,)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return scores, boxes, box_scores


def _may_be_same(points: Float[np.ndarray, "N K 2"], constants: PoseNmsConstants) -> Bool[np.ndarray, "N N"]:
    """Pairs with enough keypoints within 7 px to be one person; the full rule is not evaluated for the others.

    A keypoint beyond 7 px never matches, and adds at most weight exp(-7 / soft_px) to the similarity; one within adds
    at most weight + 1.
    """
    count, num_keypoints = points.shape[:2]
    far_term = constants.weight * np.exp(-7 / constants.soft_px)
    needed = (constants.similarity - num_keypoints * far_term) / (constants.weight + 1 - far_term)
    near = np.zeros((count, count), dtype=np.int16)
    for x, y in np.ascontiguousarray(points.transpose(1, 2, 0)):
        dx, dy = np.subtract.outer(x, x), np.subtract.outer(y, y)
        dx *= dx
        dy *= dy
        dx += dy
        near += dx < 49.1
    return near >= min(needed, constants.matches)


def _group_body(
    points: Float[np.ndarray, "N K 2"],
    scores: Float[np.ndarray, "N K"],
    reference_px: Float[np.ndarray, " N"],
    constants: PoseNmsConstants,
) -> list[tuple[int, Int[np.ndarray, " _"]]]:
    """(pick, its merge set) in the order of the picks: the best remaining pose takes the poses similar to it."""
    candidates = _may_be_same(points, constants)
    saturated = np.tanh(scores)
    remaining = np.ones(len(points), dtype=bool)
    groups = []
    for pick in np.argsort(-scores.mean(axis=1), kind="stable").tolist():
        if not remaining[pick]:
            continue
        members = others = np.flatnonzero(candidates[pick] & remaining)
        if len(others) > 1:
            delta = points[others] - points[pick]
            distance = np.sqrt(np.einsum("skc,skc->sk", delta, delta))
            similarity = ((distance <= 1) * saturated[others]) @ saturated[pick]
            similarity += np.float32(constants.weight) * np.exp(distance * np.float32(-1 / constants.soft_px)).sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                close = distance / min(reference_px[pick], np.float32(7)) <= 1
            members = others[(similarity > constants.similarity) | (close.sum(axis=1) >= constants.matches)]
        # A pose not similar to itself (a box of zero size) must still be removed, or the loop would never end.
        remaining[members] = False
        remaining[pick] = False
        groups.append((pick, members if len(members) else np.array([pick])))
    return groups


def _group_full_body(
    points: Float[np.ndarray, "N K 2"],
    scores: Float[np.ndarray, "N K"],
    reference_px: Float[np.ndarray, " N"],
    constants: PoseNmsConstants,
    mode: NmsMode,
) -> list[tuple[int, Int[np.ndarray, " _"]]]:
    """(pick, its merge set) for body + face + hands, each part with its own reach and weight.

    In published mode the count of matches depends on how many poses remain, so the picks are made one after another.
    """
    num_body = points.shape[1] - _NUM_FACE - _NUM_HANDS
    parts = (slice(0, num_body), slice(num_body, num_body + _NUM_FACE), slice(num_body + _NUM_FACE, None))
    reach = np.repeat(np.array([1, 1.9, 0.55], dtype=np.float32), [num_body, _NUM_FACE, _NUM_HANDS])
    saturated = np.tanh(scores)
    confident = scores >= constants.score
    remaining = np.ones(len(points), dtype=bool)
    groups = []
    for pick in np.argsort(-scores.mean(axis=1), kind="stable").tolist():
        if not remaining[pick]:
            continue
        others = np.flatnonzero(remaining)
        distance = np.linalg.norm(points[others] - points[pick], axis=2)
        compared = confident[pick] if mode == "fixed" else ~confident[pick]
        agreement = (distance <= 1) * saturated[pick] * saturated[others] * compared
        nearness = np.exp(-distance / (constants.soft_px * reach))
        similarity = sum(
            score_weight * agreement[:, part].mean(axis=1) + constants.weight * distance_weight * nearness[:, part].mean(axis=1)
            for part, score_weight, distance_weight in zip(parts, (1.0, 1.0, 0.1), (1.0, 1.0, 1.5), strict=True)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            close = (distance / min(float(reference_px[pick]), 7.0) <= reach) & confident[pick]
        repeats = 1 if mode == "fixed" else len(others)
        matches = close.sum(axis=1) * points.shape[1] / (2.0 * max(int(confident[pick].sum()), 1) * repeats)
        members = others[(similarity > constants.similarity) | (matches >= constants.matches)]
        remaining[members] = False
        remaining[pick] = False
        groups.append((pick, members if len(members) else np.array([pick])))
    return groups


def _merge(
    points: Float[np.ndarray, "N K 2"],
    scores: Float[np.ndarray, "N K"],
    groups: list[tuple[int, Int[np.ndarray, " _"]]],
    reach_px: Float[np.ndarray, " N"],
) -> tuple[Int[np.ndarray, " G"], Float[np.ndarray, "G K 2"], Float[np.ndarray, "G K"]]:
    """Picks, and each group's score-weighted mean of the keypoints within reach of the pick's, and of their scores."""
    picks = np.array([pick for pick, _ in groups], dtype=np.int64)
    if not groups:
        return picks, points[:0], scores[:0]
    sizes = np.array([len(members) for _, members in groups])
    starts, owner = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(groups)), sizes)
    members = np.concatenate([members for _, members in groups])
    near = np.linalg.norm(points[members] - points[picks][owner], axis=2) <= reach_px[picks][owner, None]
    masked = scores[members] * near
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = masked / np.add.reduceat(masked, starts)[owner]
    merged = np.add.reduceat(weights[..., None] * points[members], starts)
    return picks, merged, np.add.reduceat(masked * weights, starts)


def oks_nms(
    keypoints: Float[np.ndarray, "N K 2"],
    pose_scores: Float[np.ndarray, " N"],
    bbox_xyxy: Float[np.ndarray, "N 4"],
    sigmas: Float[np.ndarray, " K"],
    *,
    oks_threshold: float = 0.9,
) -> Int[np.ndarray, " M"]:
    """Indices kept, best score first: a pose is dropped when its OKS with a kept one exceeds the threshold.

    The area of a pair is the mean of the two boxes', so that the rule is the same whichever pose comes first.

    >>> pose = np.tile(np.arange(34.0).reshape(1, 17, 2), (2, 1, 1))
    >>> oks_nms(pose, np.array([0.5, 0.9]), np.tile([0.0, 0, 40, 40], (2, 1)), np.full(17, 0.05)).tolist()
    [1]
    """
    oks = _oks_between(keypoints, bbox_xyxy, sigmas)
    kept: list[int] = []
    suppressed = np.zeros(len(oks), dtype=bool)
    for pick in np.argsort(-np.asarray(pose_scores, dtype=np.float64), kind="stable").tolist():
        if not suppressed[pick]:
            kept.append(pick)
            suppressed |= oks[pick] > oks_threshold
    return np.asarray(kept, dtype=np.int64)


def soft_oks_nms(
    keypoints: Float[np.ndarray, "N K 2"],
    pose_scores: Float[np.ndarray, " N"],
    bbox_xyxy: Float[np.ndarray, "N 4"],
    sigmas: Float[np.ndarray, " K"],
    *,
    oks_threshold: float = 0.9,
    min_score: float = 0.0,
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Indices in the order of their decayed scores, and those scores: exp(-OKS² / threshold) per better pose.

    Poses whose score falls to ``min_score`` or below are dropped.

    Reference:
        Bodla et al., Soft-NMS, ICCV 2017 (the Gaussian penalty), with OKS in place of IoU.
    """
    oks = _oks_between(keypoints, bbox_xyxy, sigmas)
    scores = np.array(pose_scores, dtype=np.float64)
    waiting = np.ones(len(scores), dtype=bool)
    order: list[int] = []
    while waiting.any():
        pick = int(np.argmax(np.where(waiting, scores, -np.inf)))
        waiting[pick] = False
        if scores[pick] > min_score:
            order.append(pick)
            scores[waiting] *= np.exp(-(oks[pick, waiting] ** 2) / oks_threshold)
    index = np.asarray(order, dtype=np.int64)
    return index, scores[index]


def _oks_between(
    keypoints: Float[np.ndarray, "N K 2"], bbox_xyxy: Float[np.ndarray, "N 4"], sigmas: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "N N"]:
    points, area = np.asarray(keypoints, dtype=np.float64), box_area(np.asarray(bbox_xyxy, dtype=np.float64))
    mean_area = (area[:, None] + area[None, :]) / 2
    count = len(points)
    first, second = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
    ones = np.ones((count * count, points.shape[1]), dtype=np.int64)
    return oks_pairs(points[first], points[second], ones, mean_area.reshape(-1), sigmas).reshape(count, count)


def box_nms(bbox_xyxy: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"], iou_threshold: float) -> Int[np.ndarray, " M"]:
    """Index of the boxes that overlap no better one by more than the threshold, best first.

    >>> box_nms(np.array([[0.0, 0, 9, 9], [0, 0, 10, 10], [20, 0, 30, 10]]), np.array([0.5, 0.9, 0.7]), 0.6).tolist()
    [1, 2]
    """
    waiting = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        overlap = box_iou(bbox_xyxy[best][None], bbox_xyxy[waiting])[0]
        waiting = waiting[overlap <= iou_threshold]
    return np.array(kept, dtype=np.int64)
