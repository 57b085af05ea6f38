"""What one attempt at a stage leaves on disk: who ran it, its numbers, its files. The experiment store is made from these alone.

A record is a folder ``.cache/runs/<key>/<stage>-<session>/`` of the main checkout:

====================  ==================================================================================================
run.json              :class:`RunRecord`; without an end while the stage runs, or where its process was killed
metrics.jsonl         the training history, one :class:`Point` a line, written while the stage runs
system.jsonl          the machine's load, likewise
files/stage           artifacts of the stage, as they lie in the store; a copy, since an experiment's tree may be gone by then
files/execution       artifacts of the whole execution
model                 the network in MLflow's layout
pending.json          :class:`Progress` of the mirror; named mirrored.json when all has arrived, and the copies are then removed
====================  ==================================================================================================
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from poseline.artifacts import Layout, write_text
from poseline.errors import ArtifactError
from poseline.experiments.lineage import Identity

Status = Literal["FINISHED", "FAILED", "KILLED"]
HISTORY, LOAD = "metrics.jsonl", "system.jsonl"
PENDING, MIRRORED, RUN = "pending.json", "mirrored.json", "run.json"
SILENT_MS = 600_000
"""A process that has given no sign of life for so long has ended, where it cannot be looked at."""


class Frozen(BaseModel):
    """Base of what a record holds; NaN and infinity survive the way through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Process(Frozen):
    """A process by host, number and start time (seconds since the epoch): no other ever had all three."""

    host: str
    pid: int
    started: float

    @classmethod
    def current(cls) -> Process:
        """This process."""
        import psutil

        return cls(host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time())

    def is_gone(self, seen_ms: int | None = None) -> bool:
        """True when the process ended. Of one on another host, which cannot be seen from here, when it has been silent for long.

        Args:
            seen_ms: its last sign of life; None: unknown, and then a process on another host is taken to live.
        """
        import psutil

        if self.host != socket.gethostname():
            return seen_ms is not None and now_ms() - seen_ms > SILENT_MS
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > 1.0
        except psutil.Error:
            return True


class DataSet(Frozen):
    """Data that a stage read; the digest is DVC's."""

    name: str
    digest: str
    context: str = ""


class Point(Frozen):
    """Values of one moment of a run."""

    time_ms: int
    step: int = 0
    values: dict[str, float]


class RunRecord(Frozen):
    """One attempt at one stage.

    Attributes:
        session: unique to the attempt, later ones sort after it; finds its run in the store again.
        restored: DVC restored the stage's results from its cache; nothing ran.
        metrics: its counts, duration and scores, known at the end.
        headline: those of the metrics by which executions are compared.
        kept: the same of other data sets whose scores an earlier execution made, and which hold for this one.
        weights: hash of the model file that made the scores, or that the stage made.
    """

    session: str
    stage: str
    identity: Identity
    process: Process
    started_ms: int
    restored: bool = False
    status: Status | None = None
    ended_ms: int | None = None
    metrics: dict[str, float] = {}
    headline: dict[str, float] = {}
    kept: dict[str, float] = {}
    weights: str | None = None
    data: tuple[DataSet, ...] = ()


class Progress(Frozen):
    """How far a record is mirrored.

    Attributes:
        store: whose it is, as ``store_address`` names it; in another store all begins anew.
        sent: bytes of each stream that have arrived.
        refused: what the store will never take, with its reason.
    """

    store: str = ""
    run_id: str | None = None
    parent_id: str | None = None
    sent: dict[str, int] = {}
    refused: tuple[str, ...] = ()


class RecordFolder:
    """A record on disk."""

    def __init__(self, path: Path) -> None:
        """The record in a folder."""
        self.path = path

    @classmethod
    def create(cls, layout: Layout, stage: str, identity: Identity, *, store: str) -> RecordFolder:
        """The record of an attempt that begins now in this process, for a store.

        Raises:
            ArtifactError: the disk is full or the folder cannot be written.
        """
        started_ms = now_ms()
        session = f"{started_ms:011x}{uuid.uuid4().hex[:16]}"
        record = RunRecord(session=session, stage=stage, identity=identity, process=Process.current(), started_ms=started_ms)
        folder = cls(records_root(layout) / identity.key / f"{stage}-{record.session}")
        folder.write(record)
        folder.write_progress(Progress(store=store))
        return folder

    @property
    def files(self) -> Path:
        """Copies of artifacts: ``stage/`` and ``execution/``."""
        return self.path / "files"

    @property
    def model(self) -> Path:
        """The network in MLflow's layout, where the stage made one."""
        return self.path / "model"

    def read(self) -> RunRecord:
        """What run.json says.

        Raises:
            ArtifactError: it cannot be read, or another version of poseline wrote it.
        """
        path = self.path / RUN
        try:
            return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise ArtifactError(f"{path}: not a run record of this version ({reason}). Delete {self.path} to leave it out.") from None

    def is_running(self) -> bool:
        """True while its process is at work.

        Raises:
            ArtifactError: see :meth:`read`.
        """
        record = self.read()
        return record.status is None and not record.process.is_gone(self.last_sign_ms())

    def may_run(self) -> bool:
        """The same, False for a record that cannot be read."""
        try:
            return self.is_running()
        except ArtifactError:
            return False

    def is_here(self) -> bool:
        """Whether its process is one of this machine; False for a record that cannot be read."""
        try:
            return self.read().process.host == socket.gethostname()
        except ArtifactError:
            return False

    def show_life(self) -> None:
        """Leave a sign of life."""
        os.utime(self.path / RUN)

    def write(self, record: RunRecord) -> None:
        """Replace run.json."""
        write_text(self.path / RUN, record.model_dump_json(indent=1))

    def append(self, stream: str, values: Mapping[str, float], step: int = 0) -> None:
        """Add a point to a stream in one write, so that several threads and processes may.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        line = Point(time_ms=now_ms(), step=step, values={key: float(value) for key, value in values.items()}).model_dump_json()
        with (self.path / stream).open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def read_points(self, stream: str, start: int) -> tuple[list[Point], int]:
        """The points from a byte offset on, and the offset after the last whole line: one cut short by a kill is left out."""
        path = self.path / stream
        if not path.is_file():
            return [], start
        with path.open("rb") as handle:
            handle.seek(start)
            whole = handle.read().rpartition(b"\n")[0]
        if not whole:
            return [], start
        points = []
        for line in whole.split(b"\n"):
            try:
                points.append(Point.model_validate_json(line))
            except ValidationError:  # a write that a full disk cut short
                continue
        return points, start + len(whole) + 1

    def read_mirrored(self) -> Progress | None:
        """How the record arrived, None where not all of it has."""
        return self._read_progress(MIRRORED)

    def read_progress(self) -> Progress | None:
        """How far the record is mirrored, None when all of it is."""
        return self._read_progress(PENDING)

    def _read_progress(self, name: str) -> Progress | None:
        try:
            return Progress.model_validate_json((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def progress_ns(self) -> int:
        """When it was last kept how far the record is mirrored, nanoseconds; 0 when all of it is."""
        try:
            return (self.path / PENDING).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def write_progress(self, progress: Progress, *, complete: bool = False) -> None:
        """Keep how far the record is mirrored."""
        write_text(self.path / PENDING, progress.model_dump_json(indent=1))
        if complete:
            (self.path / PENDING).replace(self.path / MIRRORED)

    def remove_copies(self) -> None:
        """Delete the copies of files that have arrived."""
        for folder in (self.files, self.model):
            shutil.rmtree(folder, ignore_errors=True)

    def last_sign_ms(self) -> int:
        """When its process last wrote, or showed that it lives."""
        return max(int((self.path / name).stat().st_mtime * 1000) for name in (RUN, HISTORY, LOAD) if (self.path / name).is_file())


def records_root(layout: Layout) -> Path:
    """The folder of all records of a project."""
    return layout.cache / "runs"


def pending_records(layout: Layout) -> list[RecordFolder]:
    """Records that the store does not hold in whole, oldest first."""
    folders = [RecordFolder(path.parent) for path in records_root(layout).glob(f"*/*/{PENDING}")]
    return sorted(folders, key=lambda folder: folder.path.name.rpartition("-")[2])


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file among processes and threads; False where it is taken and ``wait`` is not set.

    The kernel frees it when its holder dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)
