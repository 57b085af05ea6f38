"""Which video and frame each entry of a list of results belongs to: poses or boxes in COCO's result form.

``image_id`` is a number or the image's name; ``frame_id`` (or ``frame_index``) numbers the frame where it is given. Entries of several
videos have a ``video_id``, image names in several folders, or image ids of PoseTrack's form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poseline.datasets.frame_order import FrameOrder, name_videos, number_frames, split_name
from poseline.datasets.json_files import Json, int_or_none
from poseline.errors import DataError

_POSETRACK_ID = re.compile(r"1([0-9]{6})([0-9]{4})")
"""PoseTrack's image id: 1, six digits of the video, four of the frame."""


@dataclass(frozen=True)
class ListedFrames:
    """The frames of one video that a list names.

    Attributes:
        rows: frame number -> the positions of its entries in the list; by rising number.
        names: frame number -> the image's base name or number, as the list has it.
        folder: of the images in their names; empty where there is none.
        order: how the frames were numbered.
    """

    rows: dict[int, list[int]]
    names: dict[int, str]
    folder: str
    order: FrameOrder


@dataclass(frozen=True)
class _Entry:
    """One entry: its position, its video (``video_id`` and folder), its image and the name that its frame goes by."""

    row: int
    video: tuple[str, str]
    image: str
    frame: str


def list_frames(listed: Sequence[dict[str, Json]], path: Path) -> dict[str, ListedFrames]:
    """Video -> its frames, by name and rising number; a list of one video is named after the file.

    Raises:
        DataError: an entry without a frame, or two images in one frame.
    """
    videos: dict[tuple[str, str], list[_Entry]] = {}
    for entry in _read_entries(listed, path):
        videos.setdefault(entry.video, []).append(entry)
    if len(videos) == 1:
        names = {next(iter(videos)): path.stem}
    else:
        keys = {key: "/".join(part for part in key if part) or path.stem for key in videos}
        short = name_videos(keys.values())
        names = {key: short[text] for key, text in keys.items()}
    return {names[key]: _number_video(videos[key], path) for key in sorted(videos, key=names.__getitem__)}


def _read_entries(listed: Sequence[dict[str, Json]], path: Path) -> list[_Entry]:
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
        video = int(video) if isinstance(video, float) and video.is_integer() else video
        name = base if frame is None else _frame_name(frame, place)
        entries.append(_Entry(position, ("" if video is None else str(video), folder), image, name))
    parts = [_POSETRACK_ID.fullmatch(entry.frame) for entry in entries]
    if not all(parts):
        return entries
    return [
        _Entry(entry.row, (entry.video[0] or part[1], entry.video[1]), entry.image, str(int(part[2])))
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
    number = int_or_none(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None or number != value or not 0 <= number < 2**63:
        raise DataError(f"{where}: expected a frame number in 'frame_id' or 'image_id', got {value!r:.40}. Number the frames from 0 on.")
    return str(number)


def _number_video(entries: list[_Entry], path: Path) -> ListedFrames:
    """The frames of one video."""
    first: dict[str, _Entry] = {}
    for entry in entries:
        first.setdefault(entry.frame, entry)
        if (image := first[entry.frame].image) != entry.image:
            raise DataError(
                f"{path}: entry {entry.row}: images '{image}' and '{entry.image}' would be the same frame {entry.frame}. "
                "Give each image its own frame_id."
            )
    order = number_frames(list(first), where=str(path), places={frame: f"{path}: entry {entry.row}" for frame, entry in first.items()})
    number_of = dict(zip(first, order.numbers, strict=True))
    rows: dict[int, list[int]] = {number: [] for number in sorted(order.numbers)}
    for entry in entries:
        rows[number_of[entry.frame]].append(entry.row)
    names = {number_of[frame]: split_name(entry.image)[1] for frame, entry in first.items()}
    return ListedFrames(rows, names, entries[0].video[1], order)
