"""The result of one frame, and its line in poses.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, ValidationError

from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError

PIXEL_DIGITS, SCORE_DIGITS = 2, 4


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """The poses of one frame.

    Attributes:
        source: as the user named it.
        frame_index: position in its source, from 0.
        time_ms: since the source's start; None where frames have no time.
        image: name of the image file; None for a video's frame.
        width, height: of the image, pixels.
        poses: of the people.
        interpolated: [N], poses that stand in a gap of a track, found by interpolation and not in the image.
    """

    source: str
    frame_index: int
    time_ms: float | None
    image: str | None
    width: int
    height: int
    poses: PoseSet
    interpolated: Bool[np.ndarray, " N"] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def image_name(self) -> str:
        """Name of the image file; a video's frame is its number with .jpg, as AlphaPose names it."""
        return self.image or f"{self.frame_index}.jpg"

    def is_interpolated(self, row: int) -> bool:
        """Whether a pose was interpolated."""
        return bool(row < len(self.interpolated) and self.interpolated[row])

    def to_line(self) -> str:
        """The frame as one line of JSON with its line break."""
        head = {
            "source": self.source, "frame_index": self.frame_index, "time_ms": self.time_ms, "image": self.image,
            "width": self.width, "height": self.height,
        }  # fmt: skip
        return json.dumps({**head, "people": self._people()}, allow_nan=False, separators=(",", ":")) + "\n"

    def _people(self) -> list[dict[str, object]]:
        poses = self.poses
        triples, boxes = keypoint_triples(poses), box_xywh(poses)
        people: list[dict[str, object]] = []
        for row, (triple, box) in enumerate(zip(triples, boxes, strict=True)):
            track_id = int(poses.track_ids[row])
            person: dict[str, object] = {
                "track_id": track_id if track_id > 0 else None,
                "score": round(float(poses.pose_scores[row]), SCORE_DIGITS),
                "bbox": box,
                "bbox_score": round(float(poses.bbox_scores[row]), SCORE_DIGITS),
                "keypoints": triple,
            }
            people.append(person | {"interpolated": True} if self.is_interpolated(row) else person)
        return people


def keypoint_triples(poses: PoseSet) -> list[list[float]]:
    """x, y, score of each keypoint in one flat list a pose, rounded; zeros for a keypoint that is missing."""
    shown = (poses.visibility > 0)[..., None]
    points = np.where(shown, poses.keypoints.astype(np.float64).round(PIXEL_DIGITS), 0.0)
    scores = np.where(shown, poses.keypoint_scores.astype(np.float64).round(SCORE_DIGITS)[..., None], 0.0)
    flat: list[list[float]] = np.concatenate([points, scores], axis=2).reshape(len(poses), 3 * poses.num_keypoints).tolist()
    return flat


def box_xywh(poses: PoseSet) -> list[list[float]]:
    """x, y, width and height of each box, rounded."""
    corners = poses.bbox_xyxy.astype(np.float64).round(PIXEL_DIGITS)
    boxes: list[list[float]] = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).round(PIXEL_DIGITS).tolist()
    return boxes


class _Person(BaseModel):
    model_config = ConfigDict(extra="ignore")
    track_id: int | None
    score: float
    bbox: tuple[float, float, float, float]
    bbox_score: float
    keypoints: list[float]
    interpolated: bool = False


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")
    source: str
    frame_index: int
    time_ms: float | None
    image: str | None
    width: int
    height: int
    people: list[_Person]

    def to_record(self, num_keypoints: int) -> FrameRecord:
        people = self.people
        triples = np.array([person.keypoints for person in people], dtype=np.float64).reshape(len(people), num_keypoints, 3)
        boxes = np.array([person.bbox for person in people], dtype=np.float64).reshape(len(people), 4)
        poses = PoseSet(
            keypoints=triples[..., :2],
            keypoint_scores=triples[..., 2],
            bbox_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
            bbox_scores=np.array([person.bbox_score for person in people], dtype=np.float64),
            pose_scores=np.array([person.score for person in people], dtype=np.float64),
            visibility=np.where((triples != 0).any(axis=2), 2, 0),
            track_ids=np.array([person.track_id or -1 for person in people], dtype=np.int64),
        )
        flags = np.array([person.interpolated for person in people], dtype=bool)
        place = (self.source, self.frame_index, self.time_ms, self.image, self.width, self.height)
        return FrameRecord(*place, poses=poses, interpolated=flags)


def read_records(path: Path, num_keypoints: int) -> Iterator[FrameRecord]:
    """The frames of poses.jsonl, one at a time.

    Raises:
        ArtifactError: missing, or a line that is none of ours.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _Line.model_validate_json(line).to_record(num_keypoints)
                except (ValidationError, ValueError) as error:
                    reason = str(error).splitlines()[0]
                    raise ArtifactError(f"{path}: line {number}: not a frame of poses ({reason}). Run `poseline pose` again.") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}). Run `poseline pose` again.") from None
