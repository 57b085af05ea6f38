"""Events that wait on disk while the store is away: one folder an attempt, one JSON line an event."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from poseline.artifacts import Layout
from poseline.experiments.events import EVENT, Begin, Event, LogArtifact, LogModel

EVENTS = "events.jsonl"
FILES = "files"


def spool_root(root: Path) -> Path:
    """The folder of all spools of a project."""
    return Layout(root).cache / "mlflow-spool"


class Spool:
    """Append-only log of one attempt. Its writer holds a lock that the kernel frees when the process dies."""

    def __init__(self, root: Path, begin: Begin) -> None:
        """An empty spool; nothing is written before the first event."""
        self.folder = spool_root(root) / begin.identity.key / f"{begin.stage}-{begin.session}"
        self._begin = begin
        self._handle: IO[str] | None = None

    def append(self, event: Event) -> None:
        """Keep an event, and a copy of the file it names: the original may be gone before the store is back.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        if self._handle is None:
            (self.folder / FILES).mkdir(parents=True, exist_ok=True)
            self._handle = (self.folder / EVENTS).open("a", encoding="utf-8")
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._write(self._begin)
        if isinstance(event, LogArtifact | LogModel):
            event = event.model_copy(update={"path": self._keep(event.path)})
        self._write(event)

    def close(self) -> None:
        """Let go of the spool; :func:`replay` may take it from now on."""
        if self._handle is not None:
            self._handle.close()

    def _write(self, event: Event) -> None:
        assert self._handle is not None
        self._handle.write(event.model_dump_json() + "\n")
        self._handle.flush()

    def _keep(self, path: Path) -> Path:
        """Copy into the spool; the path inside it, relative."""
        kept = Path(FILES) / str(len(list((self.folder / FILES).iterdir()))) / path.name
        target = self.folder / kept
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            target.parent.mkdir()
            shutil.copy2(path, target)
        return kept


def list_spools(root: Path) -> list[Path]:
    """Folders of spooled attempts, oldest first."""
    return sorted((path.parent for path in spool_root(root).glob(f"*/*/{EVENTS}")), key=lambda folder: folder.stat().st_ctime_ns)


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """True while this process alone may read the spool; False when its writer lives, another reader has it, or it is gone."""
    try:
        handle = (folder / EVENTS).open(encoding="utf-8")
    except FileNotFoundError:
        yield False
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield (folder / EVENTS).exists()


def read_spool(folder: Path) -> list[Event]:
    """The events of a spool, their paths absolute. A last line cut short by a kill was never logged and is left out."""
    events: list[Event] = []
    for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines():
        try:
            event = EVENT.validate_json(line)
        except ValidationError:
            break
        if isinstance(event, LogArtifact | LogModel):
            event = event.model_copy(update={"path": folder / event.path})
        events.append(event)
    return events


def remove_spool(folder: Path) -> None:
    """Delete a spool that has arrived; the log goes last but for its folder, so a kill in between repeats and loses nothing."""
    shutil.rmtree(folder / FILES, ignore_errors=True)
    (folder / EVENTS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # other attempts wait there
        folder.parent.rmdir()
