"""The matching of the public PoseFlow code: each frame's poses to recent tracks by four overlaps.

It has neither the flow builder nor the flow suppression of the paper; see :mod:`poseline.track.poseflow` for these. Written anew from a
description of the behaviour; what differs on purpose: a frame without people stays empty (the public code repeats the previous people),
correspondences stay in memory, and their search is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from poseline.config.tracking import PoseflowPublishedConfig
from poseline.core.assignment import match
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.track.base import Space, Span, State, Tracker, require_keys
from poseline.track.orb import NO_FEATURES, OrbFeatures, detect_orb, match_orb

MIN_FEATURE_PRODUCT = 400  # features of one frame times those of the other: below, the code takes every pixel to stand still
BOX_GROWTH = 0.1
EPSILON = 1e-5


@dataclass(frozen=True)
class LastSeen:
    """The most recent sighting of each track, T rows, newest first.

    Attributes:
        ids: int64.
        age: frames since.
        boxes: int64 [T, 4], corners of the grown joint extents.
        keypoints: float64 [T, K, 2].
    """

    ids: Int[np.ndarray, " T"]
    age: Int[np.ndarray, " T"]
    boxes: Int[np.ndarray, "T 4"]
    keypoints: Float[np.ndarray, "T K 2"]

    def select(self, index: np.ndarray) -> LastSeen:
        """The rows at these indices."""
        return LastSeen(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


class PublishedPoseFlow(Tracker[PoseflowPublishedConfig]):
    """Tracks as the public code does."""

    search_space: ClassVar[Space] = {
        "match_threshold": Span(0.05, 2.0, log=True),
        "num_keypoints": Span(3, 12, whole=True),
        "window_px": Span(8, 60, log=True, whole=True),
        "link_frames": Span(5, 100, log=True, whole=True),
    }

    def __init__(self, config: PoseflowPublishedConfig, skeleton: Skeleton, *, min_pose_score: float = 0.0) -> None:
        """A tracker that has seen nothing."""
        super().__init__(config, skeleton, min_pose_score=min_pose_score)
        self._features = NO_FEATURES
        none = np.zeros(0, dtype=np.int64)
        self._seen = LastSeen(none, none, np.zeros((0, 4), dtype=np.int64), np.zeros((0, skeleton.num_keypoints, 2)))

    @classmethod
    def reads_images(cls, config: PoseflowPublishedConfig) -> bool:
        """Whether correspondences are sought in the images."""
        return config.correspondence != "none"

    def link(self, poses: PoseSet, step: int, image: np.ndarray | None) -> PoseSet:
        """All poses, in input order, with track ids."""
        keypoints = placed_keypoints(poses)
        boxes = person_boxes(keypoints, None if image is None else (image.shape[1], image.shape[0]))
        age = self._seen.age + step
        recent = np.flatnonzero(age <= self._config.link_frames)
        seen = LastSeen(self._seen.ids, age, self._seen.boxes, self._seen.keypoints).select(recent)
        correspondences = self._correspond(image, seen, boxes, keypoints)
        ids = np.full(len(poses), -1, dtype=np.int64)
        grade = grade_pairs(seen, boxes, keypoints, correspondences, self._config)
        rows, columns = match(-grade, 0.0)  # all pairs take part; the threshold comes after, as in the public code
        linked = grade[rows, columns] > self._config.match_threshold
        ids[columns[linked]] = seen.ids[rows[linked]]
        fresh = np.flatnonzero(ids < 0)
        ids[fresh] = self.new_ids(len(fresh))
        gone = seen.select(np.flatnonzero(~np.isin(seen.ids, ids)))
        self._seen = LastSeen(
            np.concatenate([ids, gone.ids]),
            np.concatenate([np.zeros(len(ids), dtype=np.int64), gone.age]),
            np.concatenate([boxes, gone.boxes]),
            np.concatenate([keypoints, gone.keypoints]),
        )
        return poses.with_track_ids(ids)

    def _correspond(
        self, image: np.ndarray | None, seen: LastSeen, boxes: Int[np.ndarray, "N 4"], keypoints: Float[np.ndarray, "N K 2"]
    ) -> Int[np.ndarray, "C 4"] | None:
        """Whole-pixel correspondences from the previous frame, None where every pixel is taken to stand still.

        Those that neither start in a box or window of a track nor end in one of a pose change no grade, and are not sought.
        """
        if self._config.correspondence == "none" or image is None:
            self._features = NO_FEATURES
            return None
        previous, self._features = self._features, detect_orb(image, self._config.orb_features)
        if len(previous) * len(self._features) < MIN_FEATURE_PRODUCT:
            return None
        parts = (
            _near(previous, seen.boxes, seen.keypoints, self._config.window_px),
            _near(self._features, boxes, keypoints, self._config.window_px),
        )
        found = match_orb(previous, self._features, self._config.orb_ratio, parts=parts)
        if not len(found):  # none at all is another case than none near people
            found = match_orb(previous, self._features, self._config.orb_ratio)
        return found.astype(np.int64) if len(found) else None

    def state(self) -> State:
        """Last sightings, counters and the last frame's features."""
        arrays = {f"seen_{f.name}": getattr(self._seen, f.name).copy() for f in fields(LastSeen)}
        arrays |= {"points": self._features.points.copy(), "descriptors": self._features.descriptors.copy()}
        return super().state() | arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state."""
        require_keys(state, set(self.state()), "poseflow_published")
        self._seen = LastSeen(**{f.name: np.array(state[f"seen_{f.name}"]) for f in fields(LastSeen)})
        self._features = OrbFeatures(np.array(state["points"]), np.array(state["descriptors"]))
        super().restore(state)


def placed_keypoints(poses: PoseSet) -> Float[np.ndarray, "N K 2"]:
    """The keypoints, float64; those not annotated lie in the middle of the pose's others, or on the corners of its box if it has none.

    The public code knows only whole poses: left at (0, 0), they would draw every box to the image's corner.
    """
    shown = (poses.visibility > 0)[..., None]
    keypoints = poses.keypoints.astype(np.float64)
    count = shown.sum(axis=1)
    middle = np.where(shown, keypoints, 0).sum(axis=1) / np.maximum(count, 1)
    corners = poses.bbox_xyxy.astype(np.float64).reshape(-1, 2, 2)[:, np.arange(poses.num_keypoints) % 2]
    return np.where(shown, keypoints, np.where(count[:, None] > 0, middle[:, None], corners))


def person_boxes(keypoints: Float[np.ndarray, "N K 2"], image_wh: tuple[int, int] | None) -> Int[np.ndarray, "N 4"]:
    """Extents of the joints grown by a tenth on each side, cut to the image, whole pixels (x1, y1, x2, y2)."""
    low, high = keypoints.min(axis=1), keypoints.max(axis=1)
    margin = BOX_GROWTH * (high - low)
    boxes = np.concatenate([low - margin, high + margin], axis=1)
    if image_wh is not None:
        boxes = np.clip(boxes, 0, np.tile(np.array(image_wh) - 1, 2))
    return boxes.astype(np.int64)


def grade_pairs(
    seen: LastSeen,
    boxes: Int[np.ndarray, "N 4"],
    keypoints: Float[np.ndarray, "N K 2"],
    correspondences: Int[np.ndarray, "C 4"] | None,
    config: PoseflowPublishedConfig,
) -> Float[np.ndarray, "T N"]:
    """The four overlaps, weighted by the track's age, of every track and pose.

    In order: correspondences shared by the two person boxes; IoU of the boxes; correspondences shared by the windows around each joint,
    mean of the best seven; IoU of these windows, mean of the best seven. ``correspondences`` None: each pixel corresponds to itself.
    """
    track_windows, windows = joint_windows(seen.keypoints, config.window_px), joint_windows(keypoints, config.window_px)
    box_overlap = pixel_iou(seen.boxes.astype(np.float64)[:, None], boxes.astype(np.float64)[None])
    window_overlap = mean_of_best(pixel_iou(track_windows[:, None], windows[None]), config.num_keypoints)
    if correspondences is None:
        shared_box, shared_windows = box_overlap, window_overlap
    else:
        start, end = correspondences[:, :2], correspondences[:, 2:]
        shared_box = set_iou(contains(seen.boxes[:, None], start), contains(boxes[:, None], end))[..., 0]
        shared_windows = mean_of_best(set_iou(contains(track_windows, start), contains(windows, end)), config.num_keypoints)
    weights = np.where((seen.age == 1)[:, None], config.weights, config.old_weights)[:, None]  # [T, 1, 4]
    return np.asarray((np.stack([shared_box, box_overlap, shared_windows, window_overlap], axis=-1) * weights).sum(axis=-1))


def _near(
    features: OrbFeatures, boxes: Int[np.ndarray, "N 4"], keypoints: Float[np.ndarray, "N K 2"], half_px: int
) -> Bool[np.ndarray, " F"]:
    """Which features lie, by their whole pixels, in a person's box or in the window around a joint."""
    points = features.points.astype(np.int64)
    regions = np.concatenate([boxes.astype(np.float64), joint_windows(keypoints, half_px).reshape(-1, 4)])
    near = np.zeros(len(points), dtype=bool)
    for region in regions:
        near |= contains(region[None, None], points)[0, 0]
    return near


def joint_windows(keypoints: Float[np.ndarray, "N K 2"], half_px: int) -> Float[np.ndarray, "N K 4"]:
    """Square windows around each joint, corners in pixels."""
    return np.concatenate([keypoints - half_px, keypoints + half_px], axis=-1)


def pixel_iou(a: Float[np.ndarray, "... 4"], b: Float[np.ndarray, "... 4"]) -> np.ndarray:
    """IoU of boxes whose last pixel belongs to them (width x2 - x1 + 1)."""
    span = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    intersection = np.maximum(span, 0).prod(axis=-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2] + 1).prod(axis=-1) for box in (a, b))
    return np.asarray(intersection / (area_a + area_b - intersection))


def contains(boxes: Real[np.ndarray, "N K 4"], points: Real[np.ndarray, "C 2"]) -> Bool[np.ndarray, "K N C"]:
    """Which points each box holds, its border included; the boxes' second axis first."""
    x, y = np.ascontiguousarray(points.T, dtype=np.float64)
    x1, y1, x2, y2 = (np.swapaxes(boxes, 0, 1)[..., place, None] for place in range(4))
    return np.asarray((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2))


def set_iou(a: Bool[np.ndarray, "K T C"], b: Bool[np.ndarray, "K N C"]) -> Float[np.ndarray, "T N K"]:
    """Size of the intersection over that of the union of index sets, for each of K kinds of set."""
    shared = a.astype(np.float32) @ np.swapaxes(b.astype(np.float32), 1, 2)
    union = a.sum(axis=2)[:, :, None] + b.sum(axis=2)[:, None] - shared
    return np.asarray(np.moveaxis(shared / (union + EPSILON), 0, -1).astype(np.float64))


def mean_of_best(values: Float[np.ndarray, "T N K"], count: int) -> Float[np.ndarray, "T N"]:
    """Mean of the ``count`` largest of the last axis."""
    count = min(count, values.shape[-1])
    return np.asarray(np.sort(values, axis=-1)[..., values.shape[-1] - count :].sum(axis=-1) / max(count, 1))
