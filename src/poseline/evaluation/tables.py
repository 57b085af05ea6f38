"""The tables that are resampled as data frames: one row an image or video, small enough to commit as a baseline.

Columns: image_id int64, asked_SLICE int32 for each slice (people counted), scores list<f8>, flags binary: the bits matched and
ignored of each detection, slice and threshold, packed. 200 images with 600 people and three slices take some 20 kB as Parquet.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from poseline.errors import ArtifactError
from poseline.metrics.keypoint_types import OKS_THRESHOLDS
from poseline.metrics.match_table import MatchTable
from poseline.metrics.part_ap import PartTable
from poseline.metrics.pckh import DistanceTable
from poseline.metrics.tables import ScoreTable
from poseline.metrics.video_table import PeopleSums, RankedJoints, VideoTable

MATCH_COLUMNS = ("image_id", "scores", "flags")
DISTANCE_COLUMNS = ("image_id", "distances")
VIDEO_COLUMNS = ("video_id", "mode")
_RANKED = ("joint", "rank", "label")
_PEOPLE = ("clear", "identity", "hota")
_ASKED = "asked_"


def matches_to_frame(matches: MatchTable) -> pd.DataFrame:
    """One row an image.

    Raises:
        ValueError: the thresholds are not COCO's ten, which the table takes for granted.
    """
    if not np.array_equal(matches.thresholds, OKS_THRESHOLDS):
        raise ValueError(f"matches: expected the thresholds .5:.05:.95, got {matches.thresholds.tolist()}")
    starts = np.searchsorted(matches.image_index, np.arange(len(matches.image_ids) + 1))
    bits = np.stack([matches.matched, matches.ignored]).transpose(2, 0, 1, 3)
    rows = [slice(start, stop) for start, stop in pairwise(starts.tolist())]
    asked = {_ASKED + name: counts.astype(np.int32) for name, counts in zip(matches.slices, matches.num_people, strict=True)}
    return pd.DataFrame(
        {
            "image_id": matches.image_ids,
            **asked,
            "scores": [matches.scores[row] for row in rows],
            "flags": [np.packbits(bits[row]).tobytes() for row in rows],
        }
    )


def matches_from_frame(frame: pd.DataFrame) -> MatchTable:
    """The table of matches from its data frame; which person was found is not kept.

    Raises:
        ArtifactError: columns are missing or their lengths do not agree.
    """
    _check_columns(frame, MATCH_COLUMNS)
    asked = [name for name in frame.columns if name.startswith(_ASKED)]
    sizes = np.array([len(row) for row in frame["scores"]], dtype=np.int64)
    shape = (2, len(asked), len(OKS_THRESHOLDS))
    parts = [np.zeros((0, *shape), dtype=bool)]
    for size, packed in zip(sizes.tolist(), frame["flags"], strict=True):
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
        total = size * int(np.prod(shape))
        if len(bits) != -(-total // 8) * 8:
            raise ArtifactError(f"match table: {len(bits)} flags for {size} detections, expected {total}. Make the baseline again.")
        parts.append(bits[:total].reshape(size, *shape).astype(bool))
    flags = np.concatenate(parts)
    return MatchTable(
        image_ids=frame["image_id"].to_numpy(np.int64),
        image_index=np.repeat(np.arange(len(frame)), sizes),
        detection_index=np.arange(len(flags)),
        scores=np.concatenate([np.zeros(0), *[np.asarray(row, dtype=np.float64) for row in frame["scores"]]]),
        matched=flags[:, 0].transpose(1, 0, 2),
        ignored=flags[:, 1].transpose(1, 0, 2),
        num_people=frame[asked].to_numpy(np.int64).T,
        slices=tuple(name.removeprefix(_ASKED) for name in asked),
    )


def distances_to_frame(table: DistanceTable) -> pd.DataFrame:
    """One row a person: image_id and 16 distances in head sizes (null where not annotated)."""
    return pd.DataFrame({"image_id": table.image_ids[table.image_index], "distances": list(table.distances.astype(np.float32))})


def distances_from_frame(frame: pd.DataFrame) -> DistanceTable:
    """The table of distances from its data frame.

    Raises:
        ArtifactError: columns are missing.
    """
    _check_columns(frame, DISTANCE_COLUMNS)
    rows = [np.asarray(row, dtype=np.float64) for row in frame["distances"]]
    return DistanceTable.from_people(frame["image_id"].to_numpy(np.int64), np.array(rows).reshape(len(rows), 16))


def videos_to_frame(table: VideoTable) -> pd.DataFrame:
    """One row a video: video_id, mode and, of the parts that the table has, lists of numbers."""
    columns: dict[str, object] = {"video_id": table.image_ids.tolist(), "mode": table.mode}
    if table.joints is not None:
        columns["joints"] = list(table.joints.reshape(len(table.joints), -1))
    if table.ranked is not None:
        own = [np.flatnonzero(table.ranked.video == row) for row in range(len(table.image_ids))]
        columns |= {f"ranked_{name}": [getattr(table.ranked, name)[rows] for rows in own] for name in _RANKED}
        columns["ranked_truth"] = list(table.ranked.num_ground_truth)
    if table.people is not None:
        for name in _PEOPLE:
            columns[f"people_{name}"] = list(getattr(table.people, name).reshape(len(table.image_ids), -1))
    return pd.DataFrame(columns)


def videos_from_frame(frame: pd.DataFrame) -> VideoTable:
    """The table of videos from its data frame.

    Raises:
        ArtifactError: columns are missing.
    """
    _check_columns(frame, VIDEO_COLUMNS)
    num_videos = len(frame)
    joints, ranked, people = None, None, None
    if "joints" in frame:
        joints = np.stack(frame["joints"].tolist()).reshape(num_videos, 6, 15)
    if "ranked_truth" in frame:
        sizes = [len(rows) for rows in frame["ranked_rank"]]
        lists = {name: np.concatenate(frame[f"ranked_{name}"].tolist()) for name in _RANKED}
        ground_truth = np.stack(frame["ranked_truth"].tolist())
        ranked = RankedJoints(
            np.repeat(np.arange(num_videos), sizes), lists["joint"], lists["rank"], lists["label"].astype(bool), ground_truth
        )
    if "people_hota" in frame:
        clear, identity, hota = (np.stack(frame[f"people_{name}"].tolist()) for name in _PEOPLE)
        people = PeopleSums(clear, identity, hota.reshape(num_videos, 4, -1))
    return VideoTable(frame["video_id"].to_numpy(str), frame["mode"].iloc[0], joints, ranked, people)


def table_to_frame(table: ScoreTable | None) -> pd.DataFrame | None:
    """The table as a data frame (of parts: the whole's); None where there is none, or none of a kind that is kept."""
    match table:
        case PartTable():
            return matches_to_frame(table.parts["whole"])
        case MatchTable():
            return matches_to_frame(table)
        case DistanceTable():
            return distances_to_frame(table)
        case VideoTable():
            return videos_to_frame(table)
    return None


def table_from_frame(frame: pd.DataFrame) -> ScoreTable:
    """The table of whichever kind its columns tell.

    Raises:
        ArtifactError: columns are missing or their lengths do not agree.
    """
    if "video_id" in frame:
        return videos_from_frame(frame)
    return distances_from_frame(frame) if "distances" in frame else matches_from_frame(frame)


def _check_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ArtifactError(f"match table: columns {missing} are missing, got {list(frame.columns)[:6]}. Make the baseline again.")
