"""PoseTrack files read (2017, 2018, 2021 forms) and results written in the 2018 form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from poseline.artifacts import write_text
from poseline.datasets.json_files import Json, list_folder, read_json
from poseline.datasets.posetrack.formats import parse_2017, parse_2018
from poseline.datasets.posetrack.video import (
    MAX_TRACK_ID,
    MISSING_SCORE,
    SLOTS,
    PoseTrackForm,
    PoseTrackFrame,
    PoseTrackSequence,
    compact_track_ids,
)
from poseline.errors import DataError

__all__ = [
    "MAX_TRACK_ID",
    "PoseTrackForm",
    "PoseTrackFrame",
    "PoseTrackSequence",
    "compact_track_ids",
    "read_folder",
    "read_sequence",
    "read_videos",
    "write_sequence",
]


def read_sequence(path: Path, *, with_ids: bool = True) -> PoseTrackSequence:
    """The one video of a PoseTrack file of any form, named after the file; ``with_ids`` as for ``read_folder``.

    Raises:
        DataError: missing, truncated or against the form; or a file of several videos (``read_folder`` takes those).
    """
    videos = read_videos(path, with_ids=with_ids)
    if len(videos) != 1:
        raise DataError(f"{path}: expected one video, got {len(videos)}. Give the file itself to a folder reader, or split it by video.")
    return replace(videos[0], name=Path(path).name.removesuffix(".json"))


def read_folder(path: Path, *, with_ids: bool = True) -> dict[str, PoseTrackSequence]:
    """The videos of a folder of PoseTrack files by name in alphabetical order; one file of many videos will do as well.

    ``with_ids`` false leaves the files' track ids out, whatever they are: every person has id -1.

    Raises:
        DataError: no such folder, no JSON in it, a bad file, or a name that occurs twice.
    """
    path = Path(path)
    if path.is_file():
        videos = read_videos(path, with_ids=with_ids)
        sequences = [replace(videos[0], name=path.name.removesuffix(".json"))] if len(videos) == 1 else videos
    elif path.is_dir():
        sequences = [read_sequence(file, with_ids=with_ids) for file in list_folder(path, "*.json")]
    else:
        raise DataError(f"{path}: no such file or folder. Give a folder of PoseTrack JSON files, one a video.")
    if not sequences:
        raise DataError(f"{path}: no *.json in it. Give a folder of PoseTrack JSON files, one a video.")
    named = {sequence.name: sequence for sequence in sequences}
    if len(named) != len(sequences):
        raise DataError(f"{path}: a video name occurs twice. Give every video its own name.")
    return named


def read_videos(path: Path, *, with_ids: bool = True) -> list[PoseTrackSequence]:
    """Every video of one PoseTrack file, in file order, named after the folder of its images; ``with_ids`` as for ``read_folder``.

    Raises:
        DataError: missing, truncated or against the form.
    """
    path = Path(path)
    content = read_json(path)
    parse: Callable[[Mapping[str, Json], Path], list[PoseTrackSequence]]
    if isinstance(content, dict) and isinstance(content.get("annolist"), list):
        parse = parse_2017
    elif isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        parse = parse_2018
    else:
        raise DataError(f"{path}: expected 'annolist' (2017) or 'images' and 'annotations' (2018, 2021). Give a PoseTrack file.")
    try:
        if not with_ids:
            _drop_track_ids(content)
        sequences = parse(content, path)
    except DataError:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: against the PoseTrack form ({reason}). Compare it with an official file.") from None
    for sequence in sequences:
        _check_order(sequence, path)
    return sequences


def write_sequence(path: Path, sequence: PoseTrackSequence) -> None:
    """Write a video in PoseTrack18 result form (17 slots, a score per keypoint), which poseval and ``read_sequence`` both read.

    Keypoints of visibility 0 are written as (0, 0, 0): not annotated.

    Raises:
        DataError: a number that is not finite, or a track id of 10,000 and more, which the protocol refuses.
    """
    path = Path(path)
    images, annotations = [], []
    # Official ids of annotations are image id x 100 + position; ids of nanoseconds would leave int64.
    plain = all(0 <= frame.image_id < 2**53 // 100 for frame in sequence.frames)
    for position, frame in enumerate(sequence.frames):
        images.append(_image_entry(frame, sequence))
        annotations += _annotation_entries(frame, path, 100 * (frame.image_id if plain else position))
    category = {"supercategory": "person", "id": 1, "name": "person", "keypoints": list(SLOTS), "skeleton": []}
    text = json.dumps({"images": images, "annotations": annotations, "categories": [category]}, allow_nan=False)
    write_text(path, text)


def _drop_track_ids(content: Mapping[str, object]) -> None:
    """Take the track ids out of a file's content, in place."""
    entries = cast("list[dict[str, list[dict[str, object]]]]", content.get("annolist", []))
    rects = [rect for entry in entries for rect in entry.get("annorect") or []]
    for person in [*cast("list[dict[str, object]]", content.get("annotations", [])), *rects]:
        person.pop("track_id", None)


def _check_order(sequence: PoseTrackSequence, path: Path) -> None:
    for before, after in zip(sequence.frames, sequence.frames[1:], strict=False):
        if after.frame_index == before.frame_index:
            raise DataError(f"{path}: frame {after.file_name} occurs twice. Keep one of them.")
        if after.frame_index < before.frame_index:
            raise DataError(f"{path}: frames out of order, {after.file_name} after {before.file_name}. Sort 'images' by frame.")


def _image_entry(frame: PoseTrackFrame, sequence: PoseTrackSequence) -> dict[str, object]:
    entry: dict[str, object] = {
        "id": frame.image_id,
        "file_name": frame.file_name,
        "frame_id": frame.image_id,
        "vid_id": sequence.name.split("_")[0],
        "nframes": len(sequence.frames),
        "is_labeled": frame.is_labeled,
        "has_labeled_person": len(frame.people) > 0,
    }
    if frame.ignore_regions:
        entry["ignore_regions_x"] = [region[:, 0].tolist() for region in frame.ignore_regions]
        entry["ignore_regions_y"] = [region[:, 1].tolist() for region in frame.ignore_regions]
    return entry


def _annotation_entries(frame: PoseTrackFrame, path: Path, first_id: int) -> list[dict[str, object]]:
    people = frame.people
    where = f"{path}: frame {frame.frame_index}"
    if not (np.isfinite(frame.exact_keypoints).all() and np.isfinite(frame.exact_scores).all() and np.isfinite(people.bbox_xyxy).all()):
        raise DataError(f"{where}: NaN or infinity among the keypoints, scores or boxes to write. Give such a keypoint visibility 0.")
    if len(people) and people.track_ids.max() >= MAX_TRACK_ID:
        raise DataError(f"{where}: track id {people.track_ids.max()}, the form ends below {MAX_TRACK_ID}. Call compact_track_ids first.")
    annotated = people.visibility > 0
    flags = np.where(annotated & (np.any(frame.exact_keypoints != 0, axis=2)), people.visibility > 1, annotated)
    triples = np.where(annotated[..., None], np.concatenate([frame.exact_keypoints, flags[..., None]], axis=2), 0.0)
    scores = np.where(annotated, frame.exact_scores, 0.0)
    entries: list[dict[str, object]] = []
    for i in range(len(people)):
        x1, y1, x2, y2 = people.bbox_xyxy[i].astype(np.float64).tolist()
        entry: dict[str, object] = {
            "id": first_id + i,
            "image_id": frame.image_id,
            "category_id": 1,
            "track_id": int(people.track_ids[i]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": float(people.pose_scores[i]),
            "keypoints": triples[i].ravel().tolist(),
        }
        if not np.all(frame.exact_scores[i, annotated[i]] == MISSING_SCORE):
            entry["scores"] = scores[i].tolist()
        if frame.head_xyxy[i, 2] > frame.head_xyxy[i, 0]:
            hx1, hy1, hx2, hy2 = frame.head_xyxy[i].tolist()
            entry["bbox_head"] = [hx1, hy1, hx2 - hx1, hy2 - hy1]
        entries.append(entry)
    return entries
