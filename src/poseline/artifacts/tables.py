"""Tables between stages as Parquet: plain ones, and poses with their arrays as fixed-size lists."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int

from poseline.artifacts.files import atomic_file
from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError

TABLE_VERSION = 2

BBOX_COLUMNS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
SCALARS = {"bbox_scores": "bbox_score", "pose_scores": "pose_score", "area": "area", "track_ids": "track_id"}
"""Field of a pose set -> its column."""
LISTS = ("keypoints", "keypoint_scores", "visibility")


@dataclass(frozen=True)
class TableHeader:
    """What a table says of itself in its Parquet metadata."""

    kind: str
    skeleton: str = ""
    config_hash: str = ""
    source_hash: str = ""
    schema_version: int = TABLE_VERSION


@dataclass(frozen=True, eq=False)
class PoseTable:
    """N poses of many images.

    Attributes:
        rows: N rows of plain columns, numbered from 0: which image, video and person each pose belongs to.
        poses: the same poses, in the same order.

    Raises:
        ValueError: not as many rows as poses.
    """

    rows: pd.DataFrame
    poses: PoseSet

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.poses):
            raise ValueError(f"pose table: {len(self.rows)} rows for {len(self.poses)} poses")
        object.__setattr__(self, "rows", self.rows.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.poses)

    def select(self, index: Int[np.ndarray, " M"] | Bool[np.ndarray, " N"] | pd.Series) -> PoseTable:
        """The poses at these positions (or under this mask), in that order."""
        chosen = np.asarray(index)
        return PoseTable(self.rows[chosen] if chosen.dtype == bool else self.rows.iloc[chosen], self.poses.select(chosen))

    def where(self, **values: Hashable) -> PoseTable:
        """The poses whose columns have these values: ``table.where(dataset="coco", split="val")``."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in values.items():
            mask &= (self.rows[column] == value).to_numpy(bool)
        return self.select(mask)

    def groups(self, column: str) -> Iterator[tuple[Hashable, PoseTable]]:
        """(value, its poses) of each value of a column, in order of first appearance."""
        for value, index in self.rows.groupby(column, sort=False).indices.items():
            yield value, self.select(np.asarray(index))

    @classmethod
    def concat(cls, parts: Sequence[PoseTable]) -> PoseTable:
        """The poses of one or more tables, one after another."""
        return cls(pd.concat([part.rows for part in parts], ignore_index=True), PoseSet.concat([part.poses for part in parts]))


def write_table(path: Path, table: pd.DataFrame, header: TableHeader) -> None:
    """Write a table as Parquet, atomically, its header in the file's metadata."""
    _write_arrow(path, pa.Table.from_pandas(table, preserve_index=False), header)


def write_poses(path: Path, table: PoseTable, header: TableHeader) -> None:
    """Write poses as Parquet, atomically, the header in the file's metadata.

    Columns: those of the rows; bbox_x1 .. bbox_y2, bbox_score, pose_score, area, track_id; and as lists of fixed size keypoints
    (x, y of each), keypoint_scores and visibility.
    """
    arrow = pa.Table.from_pandas(table.rows, preserve_index=False)
    poses = table.poses
    for position, name in enumerate(BBOX_COLUMNS):
        arrow = arrow.append_column(name, pa.array(poses.bbox_xyxy[:, position]))
    for attribute, name in SCALARS.items():
        arrow = arrow.append_column(name, pa.array(getattr(poses, attribute)))
    for name in LISTS:
        values = getattr(poses, name)
        size = int(np.prod(values.shape[1:]))
        arrow = arrow.append_column(name, pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), size))
    _write_arrow(path, arrow, header)


def read_table(path: Path, *, kind: str, made_by: str | None) -> tuple[pd.DataFrame, TableHeader]:
    """A table and its header.

    Args:
        path: of the file.
        kind: that it must say of itself.
        made_by: our command that makes it, for messages; None for a file from elsewhere.

    Raises:
        ArtifactError: missing, cut short, of another kind or of another schema version.
    """
    arrow, header = _read_arrow(path, kind=kind, made_by=made_by)
    return arrow.to_pandas(), header


def read_poses(path: Path, *, kind: str, made_by: str) -> tuple[PoseTable, TableHeader]:
    """Poses that :func:`write_poses` wrote, and the table's header.

    Raises:
        ArtifactError: missing, cut short, of another kind or of another schema version.
    """
    arrow, header = _read_arrow(path, kind=kind, made_by=made_by)
    try:
        num_keypoints = arrow.schema.field("keypoint_scores").type.list_size
        shapes = {"keypoints": (-1, num_keypoints, 2), "keypoint_scores": (-1, num_keypoints), "visibility": (-1, num_keypoints)}
        lists = {name: arrow.column(name).combine_chunks().flatten().to_numpy().reshape(shape) for name, shape in shapes.items()}
        scalars = {attribute: arrow.column(name).to_numpy() for attribute, name in SCALARS.items()}
        boxes = np.stack([arrow.column(name).to_numpy() for name in BBOX_COLUMNS], axis=1)
    except (KeyError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a table of poses ({error}). Run `poseline {made_by}` again.") from None
    rows = arrow.drop_columns([*BBOX_COLUMNS, *SCALARS.values(), *LISTS]).to_pandas()
    return PoseTable(rows, PoseSet(bbox_xyxy=boxes, **lists, **scalars)), header


def _write_arrow(path: Path, arrow: pa.Table, header: TableHeader) -> None:
    metadata = {**(arrow.schema.metadata or {}), b"poseline": json.dumps(asdict(header)).encode()}
    with atomic_file(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)


def _read_arrow(path: Path, *, kind: str, made_by: str | None) -> tuple[pa.Table, TableHeader]:
    advice = f"Run `poseline {made_by}`" if made_by else "Make it"
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file. {advice} (or `dvc repro`) first.")
    try:
        arrow = pq.read_table(path)
        header = TableHeader(**json.loads(arrow.schema.metadata[b"poseline"]))
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a table of this project ({reason}). {advice} again.") from None
    if (header.kind, header.schema_version) != (kind, TABLE_VERSION):
        raise ArtifactError(
            f"{path}: expected a '{kind}' table of schema {TABLE_VERSION}, got '{header.kind}' of schema {header.schema_version}. "
            f"{advice} again."
        )
    return arrow, header
