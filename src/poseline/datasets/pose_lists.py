"""Lists of poses in COCO's result form (AlphaPose's, MMPose's, our own) as the frames of videos.

An entry is {image_id, keypoints, score, bbox or box}; keypoints are x, y, score triples. The frame's number is the entry's
``frame_id`` (or ``frame_index``), else its ``image_id``: a whole number, or a name that holds one (``12.jpg``). Entries of several
videos need ``video_id``. Frames that no entry names are not in the result: there was nobody, or nobody looked.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.datasets.categories import of_category
from poseline.datasets.json_files import (
    Json,
    expect_list,
    finite_matrix,
    finite_numbers,
    forward_slashes,
    integer,
    read_entries,
)
from poseline.errors import DataError

Frames = dict[int, PoseSet]
_NUMBER = re.compile(r"(\d+)\D*$")


def read_pose_results(path: Path, skeleton: Skeleton) -> dict[str, Frames]:
    """Video -> frame number -> poses, frames rising whatever the order in the file; a file without ``video_id`` is one video.

    Raises:
        DataError: not that form, another number of keypoints than the skeleton's, an entry without a frame number, numbers that are
            not finite, poses of several categories.
    """
    found: dict[str, dict[int, list[dict[str, Json]]]] = {}
    entries, positions = of_category(read_entries(path, expected="poses"), None, path=path, what="poses")
    for position, entry in zip(positions, entries, strict=True):
        where = f"{path}: entry {position}"
        found.setdefault(_video_name(entry, path.stem, where=where), {}).setdefault(frame_number(entry, where=where), []).append(entry)
    return {
        name: {index: _pose_set(frames[index], skeleton, where=f"{path}: frame {index}") for index in sorted(frames)}
        for name, frames in sorted(found.items())
    }


def frame_number(entry: dict[str, Json], *, where: str) -> int:
    """The frame of an entry.

    >>> frame_number({"image_id": "clip/000012.jpg"}, where="x"), frame_number({"image_id": 9, "frame_id": 3}, where="x")
    (12, 3)

    Raises:
        DataError: there is none.
    """
    value = next((entry[key] for key in ("frame_id", "frame_index", "image_id") if entry.get(key) is not None), None)
    if isinstance(value, str):
        inside = _NUMBER.search(Path(forward_slashes(value)).stem)
        value = int(inside.group(1)) if inside else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value != int(value) or value < 0:
        raise DataError(f"{where}: expected a frame number in 'frame_id' or 'image_id', got {value!r}. Number the frames from 0 on.")
    return int(value)


def _video_name(entry: dict[str, Json], default: str, *, where: str) -> str:
    """The video of an entry: a name or a number."""
    key = next((key for key in ("video_id", "vid_id") if entry.get(key) is not None), None)
    if key is None:
        return default
    value = entry[key]
    if isinstance(value, str) and value:
        return forward_slashes(value)
    return str(integer(entry, key, where=where))


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
