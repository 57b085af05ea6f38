"""The folder of weights: files that are checked by their hashes, and the hashes noted where nobody publishes one."""

from __future__ import annotations

import fnmatch
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from poseline.artifacts import atomic_file, write_json
from poseline.errors import ArtifactError
from poseline.zoo.download import Progress, fetch, has_mirror, mirror_source
from poseline.zoo.weight_files import WeightFile, cache_folder, sha256

LOG = logging.getLogger(__name__)
NOTES = "hashes.json"

State = Literal["verified", "noted", "missing", "damaged"]


@dataclass(frozen=True)
class Check:
    """What is known of an entry's file in the cache.

    Attributes:
        state: verified (its hash is the catalogue's), noted (its hash is that of the first download), missing, or damaged (another).
        path: where it lies, or belongs.
        found: its SHA-256; empty where it is missing.
        expected: the hashes, or the first digits of one, that it may have.
    """

    state: State
    path: Path
    found: str = ""
    expected: tuple[str, ...] = ()


def check_file(entry: WeightFile) -> Check:
    """Whether the entry's file is in the cache, and is what it should be."""
    path = cache_folder() / entry.file
    if not path.is_file():
        return Check("missing", path)
    found, noted = sha256(path), _read_notes().get(entry.file)
    if entry.known_hashes:
        return Check("verified" if found in entry.known_hashes else "damaged", path, found, entry.known_hashes)
    if entry.sha256_prefix:
        return Check("verified" if found.startswith(entry.sha256_prefix) else "damaged", path, found, (entry.sha256_prefix,))
    if noted is None:
        _note(entry, found)
        return Check("noted", path, found)
    return Check("noted" if found == noted else "damaged", path, found, (noted,))


def get_file(entry: WeightFile) -> Path:
    """The entry's file in the cache, brought there from the mirror where one is set; nothing is downloaded otherwise.

    Raises:
        ArtifactError: it is not there, or is another file than is known.
    """
    check = check_file(entry)
    if check.state == "missing" and has_mirror():
        return download(entry)
    if check.state == "missing":
        raise ArtifactError(f"{entry.name}: its weights are not here. {place(entry, with_command=True)}")
    if check.state == "damaged":
        raise ArtifactError(describe_damage(entry, check))
    return check.path


def download(entry: WeightFile, *, progress: Progress | None = None) -> Path:
    """The entry's file, downloaded if it is not in the cache; processes that want the same file wait for one another.

    Raises:
        ArtifactError: it cannot be had, is not what is known of it, or cannot be written; a file in the cache is damaged.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{entry.file}.lock"):
            if check_file(entry).state != "missing":
                return get_file(entry)
            _download(entry, folder, progress)
            return get_file(entry)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written ({error.strerror or error}). Set POSELINE_WEIGHTS to another folder.") from None


def _download(entry: WeightFile, folder: Path, progress: Progress | None) -> None:
    mirror = mirror_source(entry.file, entry.known_hashes)
    if mirror is not None:
        fetch(mirror, folder / entry.file, check=_checker(entry, entry.known_hashes), progress=progress, help_text=place(entry))
        return
    if entry.url is None:
        raise ArtifactError(f"{entry.name}: nobody publishes this file. {place(entry)}")
    if entry.member is None:
        fetch(entry.url, folder / entry.file, size=entry.size, check=_checker(entry, entry.known_hashes), progress=progress,
              help_text=place(entry))  # fmt: skip
        return
    archive = folder / f"{entry.file}.zip"
    hashes = (entry.sha256,) if entry.sha256 else ()
    fetch(entry.url, archive, size=entry.size, check=_checker(entry, hashes), progress=progress, help_text=place(entry))
    try:
        _unpack(archive, entry.member, folder / entry.file)
    finally:
        archive.unlink(missing_ok=True)


def _checker(entry: WeightFile, hashes: tuple[str, ...]) -> Callable[[Path], str | None]:
    """Tells what is wrong with a downloaded file; None where nothing is, or nothing is known."""

    def check(path: Path) -> str | None:
        found = sha256(path)
        expected = hashes or ((entry.sha256_prefix,) if entry.sha256_prefix else ())
        if not expected or any(found.startswith(value) for value in expected):
            return None
        return f"expected SHA-256 {' or '.join(expected)}, got {found}"

    return check


def _unpack(archive: Path, pattern: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            names = [name for name in content.namelist() if fnmatch.fnmatch(name, pattern)]
            if len(names) != 1:
                raise ArtifactError(f"{archive}: expected one file like {pattern}, found {len(names)}. The publisher changed the archive.")
            with atomic_file(target) as temporary, content.open(names[0]) as source, temporary.open("wb") as out:
                shutil.copyfileobj(source, out)
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"{archive}: not a zip archive ({error}). Try again, or set POSELINE_MIRROR.") from None


def place(entry: WeightFile, *, with_command: bool = False) -> str:
    """What a user can do to have the file, where it cannot be downloaded."""
    path = cache_folder() / entry.file
    hashes = ", ".join(value[:16] + "..." for value in entry.known_hashes) or (entry.sha256_prefix and f"{entry.sha256_prefix}...")
    known = f" (SHA-256 {hashes})" if hashes else ""
    source = f" from {entry.url}" if entry.url else ""
    command = f"Run `poseline weights get {entry.name}`, or put" if with_command and entry.url else "Put"
    unpacked = f", unpacked ({entry.member})," if entry.member else ""
    return f"{command} the file{source}{unpacked} at {path}{known}, or set POSELINE_MIRROR to a folder or address that has {entry.file}."


def describe_damage(entry: WeightFile, check: Check) -> str:
    """One line about a file that is not what is known of it."""
    return (
        f"{check.path}: expected SHA-256 {' or '.join(check.expected)}, got {check.found}. "
        f"Remove it and run `poseline weights get {entry.name}`."
    )


def _read_notes() -> dict[str, str]:
    path = cache_folder() / NOTES
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable ({error}). Remove it: hashes are then noted anew.") from None
    return {str(name): str(value) for name, value in raw.items()} if isinstance(raw, dict) else {}


def _note(entry: WeightFile, found: str) -> None:
    folder = cache_folder()
    with FileLock(folder / f".{NOTES}.lock"):
        write_json(folder / NOTES, {**_read_notes(), entry.file: found})
    LOG.warning("%s: its publisher states no hash. SHA-256 %s is noted in %s and checked from now on.", entry.name, found, folder / NOTES)
