"""PoseTrack folders (2017, 2018 and 2021 formats), one row a person and frame.

The files of 2018 give person boxes; where there is none it is the joints' extent grown by 15 % a side (the official
converter's rule), and the head box where no joint is annotated. The area, which PoseTrack lacks, is 0.53 of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poseline.config import DatasetConfig, Split
from poseline.core.boxes import box_area
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations, RawPeople, image_table, tabulate_people
from poseline.datasets.images import probe_images
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence, read_folder
from poseline.datasets.sets import split_files
from poseline.project import all_shown, located

SKELETON = "posetrack17"


@dataclass(frozen=True)
class _Row:
    """One frame of the data set under its final image id and path."""

    image_id: int
    path: Path
    video: str
    frame: PoseTrackFrame


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split; ``video_id`` is the sequence's name, every frame is in ``images``.

    The annotations are a folder of one JSON file a video, or one such file. The image folder holds the video folders; the longest
    tail of a frame's file name that exists in it is taken.

    Raises:
        DataError: a missing folder, or a file that is cut short or not in a PoseTrack format.
    """
    part, path = split_files(config, split, name=name)
    rows = frame_rows(read_folder(path), located(part.images))
    probes = probe_images([row.path for row in rows])
    table: list[dict[str, object]] = [
        {
            "image_id": row.image_id, "image_path": path.as_posix(), "width": probe.width, "height": probe.height,
            "video_id": row.video, "frame_index": row.frame.frame_index,
        }
        for row, path, probe in zip(rows, all_shown(row.path for row in rows), probes, strict=True)
    ]  # fmt: skip
    images = image_table(name, split, table)
    raw = _raw_people(rows, source.num_keypoints)
    return Annotations(
        dataset=name, split=split, source=path, skeleton=source, images=images, raw=raw,
        people=tabulate_people(raw, images, source=source, target=target),
        has_head_boxes=True,
        ignore_regions={row.image_id: list(row.frame.ignore_regions) for row in rows if row.frame.ignore_regions},
    )  # fmt: skip


def frame_rows(sequences: dict[str, PoseTrackSequence], images: Path) -> list[_Row]:
    """Every frame of every video; ids are the files' own, or 1, 2, 3, ... where videos share ids (form 2017 counts per video)."""
    pairs = [(sequence, frame) for sequence in sequences.values() for frame in sequence.frames]
    own = [frame.image_id for _, frame in pairs]
    ids = own if len(set(own)) == len(own) else list(range(1, len(own) + 1))
    roots: dict[str, int] = {}
    rows = []
    for (sequence, frame), image_id in zip(pairs, ids, strict=True):
        dropped = roots.setdefault(sequence.name, _leading_parts(frame.file_name, images))
        rows.append(_Row(image_id, images.joinpath(*Path(frame.file_name).parts[dropped:]), sequence.name, frame))
    return rows


def _leading_parts(file_name: str, images: Path) -> int:
    """How many leading folders of ``file_name`` to leave out so that the rest exists in ``images``; all but two if none does."""
    parts = Path(file_name).parts
    return next((drop for drop in range(len(parts)) if images.joinpath(*parts[drop:]).is_file()), max(len(parts) - 2, 0))


def _raw_people(rows: Sequence[_Row], num_keypoints: int) -> RawPeople:
    crowded = [row for row in rows if len(row.frame.people)]
    if not crowded:
        return empty_people(num_keypoints)
    people = [row.frame.people for row in crowded]
    head = np.concatenate([row.frame.head_xyxy for row in crowded])
    head = np.where((head[:, 2:] > head[:, :2]).all(axis=1, keepdims=True), head, np.nan)
    bbox = np.concatenate([poses.bbox_xyxy for poses in people]).astype(np.float64)
    n = len(bbox)
    return RawPeople(
        annotation_id=np.concatenate([_annotation_ids(row) for row in crowded]),
        image_id=np.concatenate([np.full(len(row.frame.people), row.image_id, dtype=np.int64) for row in crowded]),
        bbox_xyxy=np.where((box_area(bbox) <= 0)[:, None] & np.isfinite(head), head, bbox),
        area=np.full(n, np.nan),
        is_crowd=np.zeros(n, dtype=bool),
        given_num_keypoints=np.full(n, -1, dtype=np.int64),
        keypoints=np.concatenate([row.frame.exact_keypoints for row in crowded]),
        visibility=np.concatenate([poses.visibility for poses in people]).astype(np.float64),
        head_xyxy=head,
        track_id=np.concatenate([poses.track_ids for poses in people]),
    )


def _annotation_ids(row: _Row) -> Int[np.ndarray, " N"]:
    """The official ids, image id x 100 + track id; the position takes the track id's place where a track id is not 0..99."""
    tracks = row.frame.people.track_ids
    official = bool(((tracks >= 0) & (tracks < 100)).all())
    return row.image_id * 100 + (tracks if official else np.arange(len(tracks), dtype=np.int64))


def empty_people(num_keypoints: int) -> RawPeople:
    """Nobody."""
    none: Float[np.ndarray, "0 4"] = np.zeros((0, 4))
    ids = np.zeros(0, dtype=np.int64)
    return RawPeople(
        annotation_id=ids, image_id=ids, bbox_xyxy=none, area=np.zeros(0), is_crowd=np.zeros(0, dtype=bool), given_num_keypoints=ids,
        keypoints=np.zeros((0, num_keypoints, 2)), visibility=np.zeros((0, num_keypoints)), head_xyxy=none, track_id=ids,
    )  # fmt: skip
