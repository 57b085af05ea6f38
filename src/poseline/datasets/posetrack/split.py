"""The videos of one PoseTrack file, and the numbers of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from poseline.datasets.frame_order import MAX_NUMBER, name_videos, number_frames, split_name


@dataclass(frozen=True)
class FileVideo:
    """One video of a file: its name, and the position in the file and number of each of its frames."""

    name: str
    rows: list[tuple[int, int]]


def split_videos(names: Sequence[str], marks: Sequence[object], frame_ids: Sequence[object], path: Path) -> list[FileVideo]:
    """The videos of a file in order of appearance: an image's folder is its video, together with its video id where every image has one.

    Frames stay in the order of the file where their names (or, failing those, their ``frame_id``) count them; else they are sorted.
    """
    groups: dict[str, list[int]] = {}
    marked = None not in marks
    folders = [split_name(name)[0] for name in names]
    marks_in: dict[str, set[object]] = {}
    for folder, mark in zip(folders, marks, strict=True):
        marks_in.setdefault(folder, set()).add(mark)
    for row, folder in enumerate(folders):
        several = marked and len(marks_in[folder]) > 1
        groups.setdefault(f"{folder}/{marks[row]}".lstrip("/") if several else folder, []).append(row)
    titles = name_videos(groups)
    videos = []
    for key, rows in groups.items():
        order = number_frames([split_name(names[row])[1] for row in rows], where=f"{path}: video '{titles[key]}'")
        given = [frame_ids[row] for row in rows]
        if order.counted:
            videos.append(FileVideo(titles[key], list(zip(rows, order.numbers, strict=True))))
        elif all(isinstance(value, int) and 0 <= value <= MAX_NUMBER for value in given) and len(set(given)) == len(given):
            videos.append(FileVideo(titles[key], list(zip(rows, cast("list[int]", given), strict=True))))
        else:
            videos.append(FileVideo(titles[key], sorted(zip(rows, order.numbers, strict=True), key=lambda pair: pair[1])))
    return videos
