"""One run of a stage at a time in one tree: who is at work is written into the lock, and the lock of a dead process is none."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from poseline.artifacts import Layout
from poseline.errors import BusyError
from poseline.experiments.record import Frozen, Process

UNKNOWN = "another process"
TRIES = 100


class Holder(Frozen):
    """Who runs a stage: the process, since when (UTC), and its command."""

    process: Process
    since: str
    command: str

    @classmethod
    def current(cls) -> Holder:
        """This process."""
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        return cls(process=Process.current(), since=since, command=command)

    def describe(self) -> str:
        """In one line."""
        return f"process {self.process.pid} on {self.process.host} since {self.since}: {self.command}"


@contextmanager
def alone(layout: Layout, stage: str) -> Iterator[None]:
    """Run a stage while no other process does in the same tree; stages of different data sets do not meet.

    The kernel frees the lock when its holder dies. Where a child of a dead holder still has it, the holder is found to be gone and the
    file is put aside.

    Raises:
        BusyError: the stage runs already; names who runs it.
    """
    path = layout.root.resolve() / ".cache/locks" / f"{stage.replace('/', '_')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _acquire(path, stage) as handle:
        handle.seek(0)
        handle.truncate()
        handle.write(Holder.current().model_dump_json())
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def list_busy(layout: Layout, stage: str) -> list[str]:
    """The other stages that processes run in the same tree now, each with who runs it."""
    busy = []
    for path in sorted((layout.root.resolve() / ".cache/locks").glob("*.lock")):
        if path.stem == stage.replace("/", "_"):
            continue
        with path.open("r", encoding="utf-8") as handle:
            holder = _read_holder(handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if holder is not None and not holder.process.is_gone():
                    busy.append(f"{path.stem} ({holder.describe()})")
    return busy


def _acquire(path: Path, stage: str) -> IO[str]:
    """The file of a lock, held.

    Raises:
        BusyError: a process that lives holds it.
    """
    for _ in range(TRIES):
        handle = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(handle)
            if holder is None or not holder.process.is_gone():
                handle.close()
                who = UNKNOWN if holder is None else holder.describe()
                raise BusyError(f"{stage}: it runs already ({who}). Wait for its end, or stop that process.") from None
            if _is_at(handle, path):
                path.unlink(missing_ok=True)
        else:
            if _is_at(handle, path):
                return handle
        handle.close()  # put aside by another process meanwhile
    raise BusyError(f"{stage}: its lock {path} changes hands all the time. Try again.")


def _read_holder(handle: IO[str]) -> Holder | None:
    """Who wrote into a lock; None where the text is not whole, as in the moment in which it is taken."""
    handle.seek(0)
    try:
        return Holder.model_validate_json(handle.read())
    except ValidationError:
        return None


def _is_at(handle: IO[str], path: Path) -> bool:
    """Whether an open file is still the one of that path."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
