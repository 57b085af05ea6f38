"""Poses of the Python face: a pose set that knows its skeleton, and goes to and from other packages' types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from poseline.artifacts import BBOX_COLUMNS
from poseline.core import poses as core
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.errors import BackendError, DataError
from poseline.infer.draw_people import draw_people
from poseline.pose.records import box_xywh, keypoint_triples

if TYPE_CHECKING:
    from supervision import KeyPoints

    from poseline.pose.inputs.base import Image


@dataclass(frozen=True)
class PoseSet(core.PoseSet):
    """N poses of one image, as :class:`poseline.core.poses.PoseSet`, with the skeleton that names their keypoints.

    Attributes:
        skeleton: names, edges and flip pairs of the keypoints.
    """

    skeleton: Skeleton = field(default_factory=lambda: load_skeleton("coco17"))

    @classmethod
    def of(cls, poses: core.PoseSet, skeleton: Skeleton) -> PoseSet:
        """The same poses with their skeleton."""
        return cls(**{entry.name: getattr(poses, entry.name) for entry in fields(core.PoseSet)}, skeleton=skeleton)

    def select(self, index: Int[np.ndarray, " M"] | Bool[np.ndarray, " N"] | slice) -> PoseSet:
        """The poses at these indices (or under this boolean mask), in that order."""
        return PoseSet(**{entry.name: getattr(self, entry.name)[index] for entry in fields(core.PoseSet)}, skeleton=self.skeleton)

    def convert(self, source: Skeleton, target: Skeleton) -> PoseSet:
        """The poses in another skeleton, as :meth:`poseline.core.poses.PoseSet.convert`."""
        return replace(core.PoseSet.convert(self, source, target), skeleton=target)  # type: ignore[call-arg, return-value]

    @classmethod
    def concat(cls, parts: Sequence[core.PoseSet]) -> PoseSet:
        """The poses of one or more sets of one skeleton, one after another."""
        arrays = {entry.name: np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(core.PoseSet)}
        return cls(**arrays, skeleton=parts[0].skeleton if isinstance(parts[0], PoseSet) else load_skeleton("coco17"))

    def to_coco(self, image_id: int = 0) -> list[dict[str, object]]:
        """A COCO result for each pose: image_id, category_id, keypoints (x, y, score), score, bbox (x, y, width, height), track_id."""
        entries: list[dict[str, object]] = []
        for row, (triple, box) in enumerate(zip(keypoint_triples(self), box_xywh(self), strict=True)):
            entry: dict[str, object] = {
                "image_id": image_id, "category_id": 1, "keypoints": triple, "score": float(self.pose_scores[row]), "bbox": box,
            }  # fmt: skip
            if self.track_ids[row] > 0:
                entry["track_id"] = int(self.track_ids[row])
            entries.append(entry)
        return entries

    def to_pandas(self) -> pd.DataFrame:
        """A row a pose: track_id, score, bbox_x1 .. bbox_score, and x, y, score of each keypoint by name; NaN where it is missing."""
        table = pd.DataFrame({"track_id": self.track_ids, "score": self.pose_scores})
        table[list(BBOX_COLUMNS)] = self.bbox_xyxy
        table["bbox_score"] = self.bbox_scores
        missing = self.visibility == 0
        values = np.concatenate([self.keypoints, self.keypoint_scores[..., None]], axis=2)
        values = np.where(missing[..., None], np.nan, values).reshape(len(self), -1)
        names = [f"{name}_{part}" for name in self.skeleton.keypoints for part in ("x", "y", "score")]
        return pd.concat([table, pd.DataFrame(values, columns=names)], axis=1)

    def to_supervision(self) -> KeyPoints:
        """The poses as supervision's KeyPoints; a missing keypoint is (0, 0) with confidence 0. Boxes and ids are in ``data``.

        Raises:
            BackendError: supervision is not installed.
        """
        try:
            from supervision import KeyPoints
        except ImportError:
            raise BackendError("to_supervision: supervision is not installed. Run `pip install supervision`.") from None
        known = (self.visibility > 0)[..., None]
        data = {"bbox_xyxy": self.bbox_xyxy, "bbox_scores": self.bbox_scores, "pose_scores": self.pose_scores, "track_ids": self.track_ids}
        confidence = np.where(known[..., 0], self.keypoint_scores, 0).astype(np.float32)
        xy = np.where(known, self.keypoints, 0).astype(np.float32)
        newer = "keypoint_confidence" in KeyPoints.__dataclass_fields__
        more = {"keypoint_confidence": confidence, "visible": known[..., 0]} if newer else {"confidence": confidence}
        return KeyPoints(xy=xy, class_id=np.zeros(len(self), dtype=int), data=data, **more)

    @classmethod
    def from_supervision(cls, keypoints: KeyPoints, skeleton: str = "coco17") -> PoseSet:
        """Poses from supervision's KeyPoints; what is at (0, 0) is missing. Boxes are the keypoints' extents where ``data`` has none.

        Raises:
            DataError: another number of keypoints than the skeleton has.
        """
        names, xy = load_skeleton(skeleton), np.asarray(keypoints.xy, dtype=np.float32)
        if len(xy) and xy.shape[1] != names.num_keypoints:
            raise DataError(f"from_supervision: poses of {xy.shape[1]} keypoints, skeleton '{skeleton}' has {names.num_keypoints}.")
        xy = xy.reshape(-1, names.num_keypoints, 2)
        visible = getattr(keypoints, "visible", None)
        known = (xy != 0).any(axis=2) if visible is None else np.asarray(visible, dtype=bool)
        given = getattr(keypoints, "keypoint_confidence", None)
        given = getattr(keypoints, "confidence", None) if given is None else given
        scores = np.where(known, 1.0 if given is None or np.ndim(given) < 2 else np.asarray(given), 0.0)
        own = {name: np.asarray(value) for name, value in (keypoints.data or {}).items()}
        wanted = {name: own[name] for name in ("bbox_scores", "pose_scores", "track_ids") if name in own}
        boxes = own.get("bbox_xyxy", _extents(xy, known))
        return cls(
            keypoints=xy, keypoint_scores=scores, bbox_xyxy=boxes, visibility=np.where(known, 2, 0), skeleton=names, **wanted
        )

    def draw(self, image: Image, *, min_score: float = 0.3, boxes: bool = True, blur_faces: bool = False) -> Image:
        """A copy of the RGB image with the people on it."""
        return draw_people(image, self, self.skeleton, min_score=min_score, boxes=boxes, blur_faces=blur_faces)


def _extents(xy: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The box around the known keypoints of each pose; zeros where there are none."""
    boxes = np.zeros((len(xy), 4), dtype=np.float32)
    for row in np.flatnonzero(known.any(axis=1)):
        points = xy[row, known[row]]
        boxes[row] = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return boxes
