"""Lists of poses in COCO's result form (AlphaPose's, MMPose's, our own) as the frames of videos.

An entry is {image_id, keypoints, score, bbox or box}; keypoints are x, y, score triples. ``image_id`` is a number or the image's name;
``frame_id`` (or ``frame_index``) numbers the frame where it is given. Entries of several videos have a ``video_id``, image names in
several folders, or image ids of PoseTrack's form. Frames that no entry names are not in the result: there was nobody, or nobody looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.datasets.categories import of_category
from poseline.datasets.frame_order import FrameOrder
from poseline.datasets.json_files import Entries, Json, expect_list, finite_matrix, finite_numbers, read_entries
from poseline.datasets.list_frames import ListedFrames, list_frames
from poseline.errors import DataError


@dataclass(frozen=True, eq=False)
class ListedVideo:
    """The frames of one video that a list names, by rising number.

    Attributes:
        frames: frame number -> its poses.
        names: frame number -> the image's base name or number, as the list has it.
        folder: of the images in their names; empty where there is none.
        order: how the frames were numbered.
    """

    frames: dict[int, PoseSet]
    names: dict[int, str]
    folder: str
    order: FrameOrder


def read_pose_results(path: Path, skeleton: Skeleton) -> dict[str, ListedVideo]:
    """Video -> its frames, whatever the order in the file; a list of one video is named after the file.

    Raises:
        DataError: not that form, another number of keypoints than the skeleton's, an entry without a frame, two images in one frame,
            boxes without any keypoint, numbers that are not finite, poses of several categories.
    """
    listed, _ = of_category(read_entries(path, expected="poses"), None, path=path, what="poses")
    if not listed:
        raise DataError(f"{path}: expected poses, got an empty list. Run the estimator again.")
    if all(isinstance(points := entry.get("keypoints") or [], list) and all(value == 0 for value in points) for entry in listed):
        raise DataError(f"{path}: {len(listed)} boxes without any keypoints. Track boxes with --boxes FILE in place of --predictions.")
    return {name: _read_video(frames, listed, skeleton, path) for name, frames in list_frames(listed, path).items()}


def _read_video(found: ListedFrames, listed: Entries, skeleton: Skeleton, path: Path) -> ListedVideo:
    """The frames of one video."""
    grouped = {index: [listed[row] for row in rows] for index, rows in found.rows.items()}
    frames = {index: _pose_set(entries, skeleton, where=f"{path}: frame {index}") for index, entries in grouped.items()}
    return ListedVideo(frames, found.names, found.folder, found.order)


def _pose_set(entries: list[dict[str, Json]], skeleton: Skeleton, *, where: str) -> PoseSet:
    """The poses of one frame; keypoints at (0, 0) with score 0 are not annotated."""
    count = skeleton.num_keypoints
    places = [f"{where}: person {row}" for row in range(len(entries))]
    for entry, place in zip(entries, places, strict=True):
        values = expect_list(entry.get("keypoints"), where=f"{place}: 'keypoints'")
        if len(values) not in (0, 3 * count):
            raise DataError(
                f"{place} has {len(values) / 3:g} keypoints, skeleton '{skeleton.name}' has {count}. "
                "Name the file's skeleton with --skeleton."
            )
    filled: list[dict[str, Json]] = [{"keypoints": entry["keypoints"] or [0] * (3 * count)} for entry in entries]
    triples = finite_matrix(filled, "keypoints", 3 * count, where=places).reshape(len(entries), count, 3)
    annotated = np.any(triples != 0, axis=2)
    boxes = np.stack([_box(entry, triples[row, annotated[row], :2], places[row]) for row, entry in enumerate(entries)])
    scores = np.clip(triples[..., 2], 0, None)
    means = scores.sum(axis=1) / np.maximum(annotated.sum(axis=1), 1)
    given = [_score(entry, place) for entry, place in zip(entries, places, strict=True)]
    return PoseSet(
        keypoints=triples[..., :2], keypoint_scores=scores, bbox_xyxy=boxes,
        pose_scores=np.array([mean if score is None else score for mean, score in zip(means, given, strict=True)]),
        visibility=np.where(annotated, 2, 0),
    )


def _score(entry: dict[str, Json], where: str) -> float | None:
    """The pose's score; None where the entry has none."""
    return None if entry.get("score") is None else float(finite_numbers([entry], "score", where=[where])[0])


def _box(entry: dict[str, Json], points: np.ndarray, where: str) -> np.ndarray:
    """Corners of the entry's box, or of its keypoints' extent grown by 15 % a side."""
    key = next((key for key in ("bbox", "box") if entry.get(key) is not None), None)
    if key is not None:
        x, y, width, height = finite_matrix([{"bbox": entry[key]}], "bbox", 4, where=[where])[0]
        return np.array([x, y, x + width, y + height])
    if not len(points):
        return np.zeros(4)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low - 0.15 * (high - low), high + 0.15 * (high - low)])
