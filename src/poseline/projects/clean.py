"""`poseline clean`: what lies in the project's cache and nobody needs any more. Outputs of the pipeline are never touched."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout
from poseline.artifacts.scratch import leftovers
from poseline.experiments.record import pending_records, records_root

DAY_S = 86_400.0


@dataclass(frozen=True)
class Leftover:
    """Something that may go.

    Attributes:
        path: a folder in the cache.
        what: it is.
        size: bytes.
        days: since a file of it was last written.
    """

    path: Path
    what: str
    size: int
    days: float


def find_leftovers(layout: Layout, *, days: int, min_bytes: int, keep: Path) -> list[Leftover]:
    """What of the cache may go, the largest first.

    Args:
        layout: the project.
        days: only what no one has written to for so long; temporary folders of processes that are gone may go at once.
        min_bytes: only what is at least as large.
        keep: the checkpoint folder from which a training with the present parameters would go on.
    """
    found = [_measure(path, what) for path, what in _candidates(layout, keep)]
    old = [one for one in found if one.size >= min_bytes and (one.days >= days or one.path.parent.name == "tmp")]
    return sorted(old, key=lambda one: (-one.size, one.path))


def remove(leftovers: list[Leftover]) -> int:
    """Remove them; how many bytes that were."""
    for one in leftovers:
        shutil.rmtree(one.path, ignore_errors=True)
    return sum(one.size for one in leftovers if not one.path.exists())


def _candidates(layout: Layout, keep: Path) -> Iterator[tuple[Path, str]]:
    cache = layout.cache
    for path in _folders(cache / "checkpoints"):
        if path.resolve() != keep.resolve():
            yield path, "checkpoint of a training that has not gone on, with other parameters than now"
    waiting = {folder.path.resolve() for folder in pending_records(layout)}
    for group in _folders(records_root(layout)):
        yield from ((path, "record that the experiment store holds") for path in _folders(group) if path.resolve() not in waiting)
    for name in ("scores", "models"):
        yield from ((path, f"{name} fetched from a revision or the experiment store") for path in _folders(cache / name))
    for path in leftovers(cache):
        yield path, "temporary files of a process that is gone"


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink()) if place.is_dir() else []


def _measure(folder: Path, what: str) -> Leftover:
    states = [path.stat() for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    newest = max(state.st_mtime for state in states)
    return Leftover(folder, what, sum(state.st_size for state in states[1:]), max(0.0, (time.time() - newest) / DAY_S))
