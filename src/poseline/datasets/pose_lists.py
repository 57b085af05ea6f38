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
from poseline.datasets.frame_order import FrameOrder
from poseline.datasets.json_files import Json, expect_list, expect_mapping, number, numbers, read_json
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
            boxes without any keypoint, numbers that are not finite.
    """
    content = expect_list(read_json(path), where=str(path))
    listed = [expect_mapping(value, where=f"{path}: entry {position}") for position, value in enumerate(content)]
    if not listed:
        raise DataError(f"{path}: expected poses, got an empty list. Run the estimator again.")
    if all(isinstance(points := entry.get("keypoints") or [], list) and all(value == 0 for value in points) for entry in listed):
        raise DataError(f"{path}: {len(listed)} boxes without any keypoints. Track boxes with --boxes FILE in place of --predictions.")
    return {name: _read_video(frames, listed, skeleton, path) for name, frames in list_frames(listed, path).items()}


def _read_video(found: ListedFrames, listed: list[dict[str, Json]], skeleton: Skeleton, path: Path) -> ListedVideo:
    """The frames of one video."""
    grouped = {index: [listed[row] for row in rows] for index, rows in found.rows.items()}
    frames = {index: _pose_set(entries, skeleton, where=f"{path}: frame {index}") for index, entries in grouped.items()}
    return ListedVideo(frames, found.names, found.folder, found.order)


def _pose_set(entries: list[dict[str, Json]], skeleton: Skeleton, *, where: str) -> PoseSet:
    """The poses of one frame; keypoints at (0, 0) with score 0 are not annotated."""
    count = skeleton.num_keypoints
    triples = np.zeros((len(entries), count, 3))
    for row, entry in enumerate(entries):
        values = expect_list(entry.get("keypoints") or [0] * (3 * count), where=f"{where}: person {row}: 'keypoints'")
        if len(values) != 3 * count:
            raise DataError(
                f"{where}: person {row} has {len(values) / 3:g} keypoints, skeleton '{skeleton.name}' has {count}. "
                "Name the file's skeleton with --skeleton."
            )
        triples[row] = np.array([number(value) for value in values]).reshape(count, 3)
    annotated = np.any(triples != 0, axis=2)
    boxes = np.stack([_box(entry, triples[row, annotated[row], :2], f"{where}: person {row}") for row, entry in enumerate(entries)])
    scores = np.clip(triples[..., 2], 0, None)
    means = scores.sum(axis=1) / np.maximum(annotated.sum(axis=1), 1)
    given = np.array([number(entry.get("score")) for entry in entries])
    if not (np.isfinite(triples).all() and np.isfinite(boxes).all()):
        raise DataError(f"{where}: NaN or infinity among keypoints or boxes. Leave such a keypoint out (0, 0, 0).")
    return PoseSet(
        keypoints=triples[..., :2], keypoint_scores=scores, bbox_xyxy=boxes, pose_scores=np.where(np.isnan(given), means, given),
        visibility=np.where(annotated, 2, 0),
    )


def _box(entry: dict[str, Json], points: np.ndarray, where: str) -> np.ndarray:
    """Corners of the entry's box, or of its keypoints' extent grown by 15 % a side."""
    value = entry.get("bbox", entry.get("box"))
    if value is not None:
        x, y, width, height = numbers(value, 4, where=f"{where}: 'bbox'")
        return np.array([x, y, x + width, y + height])
    if not len(points):
        return np.zeros(4)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low - 0.15 * (high - low), high + 0.15 * (high - low)])
