"""CSV and Parquet: a row a person, a column a number."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poseline.artifacts import BBOX_COLUMNS, atomic_file
from poseline.pose.inputs.base import Image
from poseline.pose.outputs.base import Output, RunInfo
from poseline.pose.records import PIXEL_DIGITS, SCORE_DIGITS, FrameRecord

ROWS_A_GROUP = 4096
Row = list[str | int | float | bool | None]


def person_columns(run: RunInfo) -> dict[str, pa.DataType]:
    """Columns of the table and their types; three for each keypoint, null where it is missing."""
    plain = {"source": pa.string(), "frame_index": pa.int64(), "time_ms": pa.float64(), "image": pa.string(), "track_id": pa.int64()}
    scores = {"interpolated": pa.bool_(), "score": pa.float32(), **dict.fromkeys(BBOX_COLUMNS, pa.float32()), "bbox_score": pa.float32()}
    return plain | scores | {f"{name}_{part}": pa.float32() for name in run.skeleton.keypoints for part in ("x", "y", "score")}


def person_rows(record: FrameRecord) -> list[Row]:
    """The people of a frame, a row each."""
    poses, rows = record.poses, []
    keypoints = poses.keypoints.astype(np.float64).round(PIXEL_DIGITS).tolist()
    scores = poses.keypoint_scores.astype(np.float64).round(SCORE_DIGITS).tolist()
    boxes = poses.bbox_xyxy.astype(np.float64).round(PIXEL_DIGITS).tolist()
    for row in range(len(poses)):
        track_id = int(poses.track_ids[row])
        values: Row = [record.source, record.frame_index, record.time_ms, record.image, track_id if track_id > 0 else None]
        values += [record.is_interpolated(row), round(float(poses.pose_scores[row]), SCORE_DIGITS), *boxes[row]]
        values.append(round(float(poses.bbox_scores[row]), SCORE_DIGITS))
        for k, (x, y) in enumerate(keypoints[row]):
            values += [x, y, scores[row][k]] if poses.visibility[row, k] else [None, None, None]
        rows.append(values)
    return rows


class CsvOutput(Output):
    """poses.csv."""

    produces = "poses.csv"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._writer = csv.writer(self.open_text("poses.csv"), lineterminator="\n")
        self._writer.writerow(person_columns(run))

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame's people."""
        self._writer.writerows(person_rows(record))


class ParquetOutput(Output):
    """poses.parquet, written in groups of rows."""

    produces = "poses.parquet"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._schema = pa.schema(list(person_columns(run).items()))
        temporary = self.files.enter_context(atomic_file(out / "poses.parquet"))
        self._writer = self.files.enter_context(pq.ParquetWriter(temporary, self._schema))
        self._rows: list[Row] = []

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Take a frame's people, and write a group where it is full."""
        self._rows.extend(person_rows(record))
        if len(self._rows) >= ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()

    def finish(self) -> None:
        """Write the last group."""
        self._flush()
