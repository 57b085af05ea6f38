"""Lists of poses in COCO's result form (AlphaPose's, MMPose's, our own) as the frames of videos.

An entry is {image_id, keypoints, score, bbox or box}; keypoints are x, y, score triples. ``image_id`` is a number or the image's name;
``frame_id`` (or ``frame_index``) numbers the frame where it is given. Entries of several videos have a ``video_id``, image names in
several folders, or image ids of PoseTrack's form. Frames that no entry names are not in the result: there was nobody, or nobody looked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.datasets.frame_order import FrameOrder, name_videos, number_frames, split_name
from poseline.datasets.json_files import Json, expect_list, expect_mapping, number, numbers, read_json
from poseline.errors import DataError

_POSETRACK_ID = re.compile(r"1([0-9]{6})([0-9]{4})")
"""PoseTrack's image id: 1, six digits of the video, four of the frame."""


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


@dataclass(frozen=True)
class _Entry:
    """One pose: where it stands, its video (``video_id`` and folder), its image and the name that its frame goes by."""

    place: str
    video: tuple[str, str]
    image: str
    frame: str
    content: dict[str, Json]


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
    videos: dict[tuple[str, str], list[_Entry]] = {}
    for entry in _read_entries(listed, path):
        videos.setdefault(entry.video, []).append(entry)
    if len(videos) == 1:
        names = {next(iter(videos)): path.stem}
    else:
        keys = {key: "/".join(part for part in key if part) or path.stem for key in videos}
        short = name_videos(keys.values())
        names = {key: short[text] for key, text in keys.items()}
    return {names[key]: _read_video(videos[key], skeleton, path) for key in sorted(videos, key=names.__getitem__)}


def _read_entries(listed: list[dict[str, Json]], path: Path) -> list[_Entry]:
    """The entries with their videos and frames, as their ids say."""
    numbered = [next((entry[key] for key in ("frame_id", "frame_index") if entry.get(key) is not None), None) for entry in listed]
    if None in numbered and any(value is not None for value in numbered):
        raise DataError(f"{path}: entry {numbered.index(None)}: no 'frame_id', which other entries have. Number every entry, or none.")
    entries = []
    for position, (content, frame) in enumerate(zip(listed, numbered, strict=True)):
        place = f"{path}: entry {position}"
        image = _frame_name(content.get("image_id") if frame is None or content.get("image_id") is not None else frame, place)
        folder, base = split_name(image)
        video = content.get("video_id", content.get("vid_id"))
        name = base if frame is None else _frame_name(frame, place)
        entries.append(_Entry(place, ("" if video is None else str(video), folder), image, name, content))
    parts = [_POSETRACK_ID.fullmatch(entry.frame) for entry in entries]
    if not all(parts):
        return entries
    return [
        _Entry(entry.place, (entry.video[0] or part[1], entry.video[1]), entry.image, str(int(part[2])), entry.content)
        for entry, part in zip(entries, parts, strict=True)
        if part is not None
    ]


def _frame_name(value: Json, where: str) -> str:
    """A frame's number or name as text.

    >>> _frame_name(12.0, "x"), _frame_name("clip/000012.jpg", "x")
    ('12', 'clip/000012.jpg')

    Raises:
        DataError: neither a whole number from 0 on nor a name.
    """
    if isinstance(value, str) and split_name(value)[1]:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value != int(value) or value < 0:
        raise DataError(f"{where}: expected a frame number in 'frame_id' or 'image_id', got {value!r}. Number the frames from 0 on.")
    return str(int(value))


def _read_video(entries: list[_Entry], skeleton: Skeleton, path: Path) -> ListedVideo:
    """The frames of one video."""
    first: dict[str, _Entry] = {}
    for entry in entries:
        first.setdefault(entry.frame, entry)
    images = {frame: entry.image for frame, entry in first.items()}
    for entry in entries:
        if images[entry.frame] != entry.image:
            raise DataError(
                f"{entry.place}: images '{images[entry.frame]}' and '{entry.image}' would be the same frame {entry.frame}. "
                "Give each image its own frame_id."
            )
    order = number_frames(list(images), where=str(path), places={frame: entry.place for frame, entry in first.items()})
    number_of = dict(zip(images, order.numbers, strict=True))
    grouped: dict[int, list[dict[str, Json]]] = {}
    for entry in entries:
        grouped.setdefault(number_of[entry.frame], []).append(entry.content)
    names = {number_of[frame]: split_name(image)[1] for frame, image in images.items()}
    frames = {index: _pose_set(grouped[index], skeleton, where=f"{path}: frame {index}") for index in sorted(grouped)}
    return ListedVideo(frames, names, entries[0].video[1], order)


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
