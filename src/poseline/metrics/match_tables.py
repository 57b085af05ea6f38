"""The per-picture table of matches as a data frame: one row a picture, small enough to commit as a baseline.

Columns: image_id int64, truth_counts list<i4> (people asked for, a slice each), scores list<f8>, flags binary: the bits matched
and ignored of each detection, slice and threshold, packed. 200 pictures with 600 people take some 20 kB as Parquet.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from poseline.errors import ArtifactError
from poseline.metrics.bootstrap import DistanceTable
from poseline.metrics.coco_types import OKS_THRESHOLDS, MatchTable

MATCH_COLUMNS = ("image_id", "truth_counts", "scores", "flags")
DISTANCE_COLUMNS = ("image_id", "distances")


def matches_to_frame(matches: MatchTable) -> pd.DataFrame:
    """One row a picture. The slices' names and the thresholds travel in ``frame.attrs``, which Parquet keeps."""
    starts = np.searchsorted(matches.image_index, np.arange(len(matches.image_ids) + 1))
    bits = np.stack([matches.matched, matches.ignored]).transpose(2, 0, 1, 3)
    rows = [slice(start, stop) for start, stop in pairwise(starts.tolist())]
    frame = pd.DataFrame(
        {
            "image_id": matches.image_ids,
            "truth_counts": list(matches.truth_counts.T.astype(np.int32)),
            "scores": [matches.scores[row] for row in rows],
            "flags": [np.packbits(bits[row]).tobytes() for row in rows],
        }
    )
    frame.attrs = {"slices": list(matches.slices), "thresholds": matches.thresholds.tolist()}
    return frame


def matches_from_frame(frame: pd.DataFrame) -> MatchTable:
    """The table of matches from its data frame; which person was found is not kept.

    Raises:
        ArtifactError: columns are missing or their lengths do not agree.
    """
    _check_columns(frame, MATCH_COLUMNS)
    counts = np.array([np.asarray(row, dtype=np.int64) for row in frame["truth_counts"]]).reshape(len(frame), -1).T
    slices = tuple(str(name) for name in frame.attrs.get("slices", ("all", "medium", "large")))
    thresholds = np.asarray(frame.attrs.get("thresholds", OKS_THRESHOLDS), dtype=np.float64)
    sizes = np.array([len(row) for row in frame["scores"]], dtype=np.int64)
    shape = (2, len(slices), len(thresholds))
    parts = [np.zeros((0, *shape), dtype=bool)]
    for size, packed in zip(sizes, frame["flags"], strict=True):
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
        total = int(size) * int(np.prod(shape))
        if len(bits) != -(-total // 8) * 8 or len(counts) != len(slices):
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
        truth_counts=counts,
        slices=slices,
        thresholds=thresholds,
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


def _check_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ArtifactError(f"match table: columns {missing} are missing, got {list(frame.columns)[:6]}. Make the baseline again.")
