"""Every file that passes between stages: where it lies, its schema and version, atomic writing and checked reading."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from poseline.config.params import Yaml
from poseline.errors import ArtifactError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Layout:
    """Paths of the pipeline's files.

    Attributes:
        root: the tree that the pipeline works in.
        main: the main checkout, where caches outlive an experiment's temporary tree; the root where not given.
    """

    root: Path
    main: Path | None = None

    @property
    def mini(self) -> Path:
        """The embedded data sets."""
        return self.root / "data/mini"

    @property
    def validated(self) -> Path:
        """Findings and manifest of the data validation."""
        return self.root / "data/validated"

    @property
    def processed(self) -> Path:
        """Person records and crops."""
        return self.root / "data/processed"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "data/model"

    @property
    def predictions(self) -> Path:
        """Predicted poses, one folder a benchmark."""
        return self.root / "data/predictions"

    @property
    def tracks(self) -> Path:
        """Tracked poses."""
        return self.root / "data/tracks"

    @property
    def metrics(self) -> Path:
        """Scores, one JSON a benchmark."""
        return self.root / "reports/metrics"

    @property
    def per_person(self) -> Path:
        """Scores of every person."""
        return self.root / "reports/per_person"

    @property
    def plots(self) -> Path:
        """Tables that `dvc plots` draws."""
        return self.root / "reports/plots"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.root / "reports/index.html"

    @property
    def baseline(self) -> Path:
        """What the gate compares with."""
        return self.root / "reports/baseline"

    @property
    def cache(self) -> Path:
        """Work in progress that no stage owns: unfinished checkpoints, spooled logs."""
        return (self.main or self.root) / ".cache"


@dataclass(frozen=True)
class TableHeader:
    """What a table says of itself in its Parquet metadata."""

    kind: str
    skeleton: str = ""
    config_hash: str = ""
    source_hash: str = ""
    schema_version: int = SCHEMA_VERSION


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes ``path`` when the block ends well, and is removed otherwise.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written ({error.strerror or error}). Check the folder's rights and free disk.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A fresh temporary folder beside ``path`` that takes its place when the block ends well, and is removed otherwise.

    Raises:
        ArtifactError: the place cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written ({error.strerror or error}). Check the folder's rights and free disk.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Yaml] | list[Yaml]) -> None:
    """Write JSON atomically, keys in the order given, without NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, *, made_by: str) -> dict[str, Yaml]:
    """A JSON object that the stage ``made_by`` wrote.

    Raises:
        ArtifactError: missing, cut short or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. Run `poseline {made_by}` (or `dvc repro`) first.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error}). Run `poseline {made_by}` again.") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: expected a JSON object, got {type(value).__name__}. Run `poseline {made_by}` again.")
    return cast("dict[str, Yaml]", value)


def write_table(path: Path, table: pd.DataFrame, header: TableHeader) -> None:
    """Write a table as Parquet, atomically, its header in the file's metadata. List columns are float32 or uint8 lists."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), b"poseline": json.dumps(asdict(header)).encode()}
    with atomic_file(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)


def read_table(path: Path, *, kind: str, made_by: str) -> tuple[pd.DataFrame, TableHeader]:
    """A table and its header.

    Raises:
        ArtifactError: missing, cut short, of another kind or of another schema version.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file. Run `poseline {made_by}` (or `dvc repro`) first.")
    try:
        arrow = pq.read_table(path)
        header = TableHeader(**json.loads(arrow.schema.metadata[b"poseline"]))
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a table of this project ({reason}). Run `poseline {made_by}` again.") from None
    if (header.kind, header.schema_version) != (kind, SCHEMA_VERSION):
        raise ArtifactError(
            f"{path}: expected a '{kind}' table of schema {SCHEMA_VERSION}, got '{header.kind}' of schema "
            f"{header.schema_version}. Run `poseline {made_by}` again."
        )
    return arrow.to_pandas(), header


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, 16 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]
