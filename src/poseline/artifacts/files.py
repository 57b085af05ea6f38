"""Files that appear whole or not at all, and reading them back with errors that name the next step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from poseline.config.params import Yaml
from poseline.errors import ArtifactError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes ``path`` when the block ends well, and is removed otherwise.

    It keeps the ending, by which writers of videos and images choose the format.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
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


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, 16 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def hash_path(path: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of the JSON files in a folder (all files below it where there are none).

    Hidden files are left out. Empty where there is neither file nor folder.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        seen = [file for file in found if not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)]
        files = [file for file in seen if file.parent == path and file.suffix == ".json"] or seen
        lines = [f"{file.relative_to(path).as_posix()} {hash_path(file)}\n" for file in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
