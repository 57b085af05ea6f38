"""Poses as a struct of arrays, checked at construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from jaxtyping import Bool, Int, Integer, Real, Shaped, UInt8

from poseline.core.skeletons import Skeleton, map_keypoints


def _array(value: object, dtype: type[np.generic], shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(value, dtype=dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array


@dataclass(frozen=True)
class PoseSet:
    """N poses of K keypoints, of one image or of many.

    Attributes:
        keypoints: float32 [N, K, 2], pixels of the image, origin top-left, integers are pixel centres.
        keypoint_scores: float32 [N, K], confidence of each keypoint.
        bbox_xyxy: float32 [N, 4], pixels.
        bbox_scores: float32 [N]; ones where none was given.
        pose_scores: float32 [N]; mean keypoint score where none was given.
        visibility: uint8 [N, K]: 0 unlabelled, 1 occluded, 2 visible; all 2 where none was given.
        area: float32 [N], px²; the box's where none was given.
        track_ids: int64 [N]; -1 where there is none.

    Raises:
        ValueError: arrays whose shapes do not agree.

    >>> poses = PoseSet(keypoints=np.zeros((2, 17, 2)), keypoint_scores=np.ones((2, 17)), bbox_xyxy=np.zeros((2, 4)))
    >>> len(poses), poses.track_ids.tolist()
    (2, [-1, -1])
    """

    # Annotated as what is accepted; kept as the types above.
    keypoints: Real[np.ndarray, "N K 2"]
    keypoint_scores: Shaped[np.ndarray, "N K"]
    bbox_xyxy: Real[np.ndarray, "N 4"]
    bbox_scores: Real[np.ndarray, " N"] = field(default=None)  # type: ignore[arg-type]
    pose_scores: Real[np.ndarray, " N"] = field(default=None)  # type: ignore[arg-type]
    visibility: Integer[np.ndarray, "N K"] = field(default=None)  # type: ignore[arg-type]
    area: Real[np.ndarray, " N"] = field(default=None)  # type: ignore[arg-type]
    track_ids: Integer[np.ndarray, " N"] = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        keypoints = np.asarray(self.keypoints, dtype=np.float32)
        if keypoints.ndim != 3 or keypoints.shape[2] != 2:
            raise ValueError(f"keypoints: expected shape [N, K, 2], got {keypoints.shape}")
        n, k = keypoints.shape[:2]
        scores = _array(self.keypoint_scores, np.float32, (n, k), "keypoint_scores")
        bbox = _array(self.bbox_xyxy, np.float32, (n, 4), "bbox_xyxy")
        values = {
            "keypoints": keypoints,
            "keypoint_scores": scores,
            "bbox_xyxy": bbox,
            "bbox_scores": self._optional("bbox_scores", lambda: np.ones(n), np.float32, (n,)),
            "pose_scores": self._optional("pose_scores", lambda: scores.mean(axis=1) if k else np.zeros(n), np.float32, (n,)),
            "visibility": self._optional("visibility", lambda: np.full((n, k), 2), np.uint8, (n, k)),
            "area": self._optional("area", lambda: np.prod(np.maximum(bbox[:, 2:] - bbox[:, :2], 0), axis=1), np.float32, (n,)),
            "track_ids": self._optional("track_ids", lambda: np.full(n, -1), np.int64, (n,)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _optional(self, name: str, default: Callable[[], np.ndarray], dtype: type[np.generic], shape: tuple[int, ...]) -> np.ndarray:
        value = getattr(self, name)
        return default().astype(dtype) if value is None else _array(value, dtype, shape, name)

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def num_keypoints(self) -> int:
        """Keypoints per pose, K."""
        return self.keypoints.shape[1]

    def select(self, index: Int[np.ndarray, " M"] | Bool[np.ndarray, " N"] | slice) -> PoseSet:
        """The poses at these indices (or under this boolean mask), in that order."""
        return PoseSet(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def with_track_ids(self, track_ids: Int[np.ndarray, " N"]) -> PoseSet:
        """The same poses under other track ids."""
        return replace(self, track_ids=np.asarray(track_ids, dtype=np.int64))

    def convert(self, source: Skeleton, target: Skeleton) -> PoseSet:
        """The poses in another skeleton, keypoints matched by name or alias.

        What the source lacks is (0, 0) with score 0 and visibility 0, and so is what is unlabelled. Pose scores stay as they are.
        """
        if source == target:
            return self
        index = map_keypoints(source, target)
        known = index >= 0
        visibility = np.where(known, self.visibility[:, index], 0)
        return replace(
            self,
            keypoints=np.where((visibility > 0)[..., None], self.keypoints[:, index], 0),
            keypoint_scores=np.where(known, self.keypoint_scores[:, index], 0),
            visibility=visibility,
        )

    @classmethod
    def concat(cls, parts: Sequence[PoseSet]) -> PoseSet:
        """The poses of one or more sets of as many keypoints, one after another."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    @classmethod
    def empty(cls, num_keypoints: int) -> PoseSet:
        """A set of zero poses of ``num_keypoints`` keypoints."""
        return cls(keypoints=np.zeros((0, num_keypoints, 2)), keypoint_scores=np.zeros((0, num_keypoints)), bbox_xyxy=np.zeros((0, 4)))


@dataclass(frozen=True)
class Frame:
    """One image of a video, or a single image.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        frame_index: position in its video, from 0; 0 for a single image.
        image_id: the data set's id; None where there is none.
    """

    image: UInt8[np.ndarray, "H W 3"]
    frame_index: int = 0
    image_id: int | None = None
