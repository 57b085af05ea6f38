"""One attempt at a stage: its record is written while it runs, and mirrored into the store. Neither ever stops the work."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.errors import PoselineError
from poseline.experiments import sender
from poseline.experiments.lineage import identify
from poseline.experiments.load import LoadSampler
from poseline.experiments.model import export_model
from poseline.experiments.outputs import collect, kept_headline
from poseline.experiments.record import HISTORY, LOAD, RecordFolder, Status, now_ms
from poseline.experiments.store import store_address

INTERVAL_S = 10.0
POLL_S = 0.02


@dataclass
class StageRun:
    """Where a stage puts what its files do not say. Without a folder (tracking is off) it keeps nothing.

    A process of a distributed training writes into the folder that the stage's own process made.

    Attributes:
        folder: the record.
        result: counts and durations, known at the end.
        mirror: have what is new written into the store now; it is done every ten seconds anyway.
    """

    folder: Path | None = None
    result: dict[str, float] = field(default_factory=dict)
    mirror: Callable[[], None] = lambda: None
    _loads: dict[str, int] = field(default_factory=dict)

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Add the values of one step (an epoch) to the training history."""
        if self.folder is not None:
            with unstopped("train"):
                RecordFolder(self.folder).append(HISTORY, values, step)

    def log_load(self, host: str, values: Mapping[str, float]) -> None:
        """Add the load of another machine that takes part, as ``system/HOST/...``; a point a call."""
        if self.folder is not None:
            step = self._loads[host] = self._loads.get(host, -1) + 1
            named = {f"system/{host}/{name.removeprefix('system/')}": value for name, value in values.items()}
            with unstopped("train"):
                RecordFolder(self.folder).append(LOAD, named, step)


class Attempt:
    """A stage at work: signs of life and the machine's load go into its record, which another process writes into the store."""

    def __init__(self, folder: RecordFolder, stage: str, params: Params, layout: Layout) -> None:
        """Of a stage whose record has just been made."""
        self._folder, self._stage, self._params, self._layout = folder, stage, params, layout
        self._order = sender.Order(config=params.mlflow, root=(layout.main or layout.root).resolve())
        self._post = sender.Post.of(self._order)
        self._started_ms = now_ms()
        self._warned = False
        self._stopped = threading.Event()
        self._load = LoadSampler() if params.mlflow.system_metrics else None
        with unstopped(stage):
            sender.ensure(self._order)
        self._thread = threading.Thread(target=self._watch, name="experiment-record", daemon=True)
        self._thread.start()

    def close(self, status: Status, run: StageRun) -> None:
        """End the record, and give it a moment to arrive in the store."""
        self._stopped.set()
        self._thread.join()
        with unstopped(self._stage):
            finish(self._folder, self._layout, status, result=run.result, params=self._params)
            self._wait(lambda: self._folder.read_mirrored() is not None)
            progress, fault = self._folder.read_mirrored(), self._post.read_fault()
            if fault is not None and (progress is None or not fault.lost):
                self._warn(fault)
            if progress is not None and progress.refused:
                warn(self._stage, f"the experiment store refused {len(progress.refused)} of the values, the first: {progress.refused[0]}")

    def mirror(self) -> None:
        """Have what is new written into the store now, and wait for it a moment."""
        with unstopped(self._stage):
            before = self._folder.progress_ns()
            self._wait(lambda: self._folder.progress_ns() != before)

    def _watch(self) -> None:
        step, over = 0, False
        while not over:
            over = self._stopped.wait(INTERVAL_S)
            with unstopped(self._stage):
                self._folder.show_life()
                if self._load is not None:
                    self._folder.append(LOAD, self._load.sample(), step)
                fault = self._post.read_fault()
                if fault is not None and fault.time_ms >= self._started_ms:
                    self._warn(fault)
            step += 1

    def _wait(self, arrived: Callable[[], bool]) -> None:
        """Ask for something, and wait until it is there, the store turned out to be away, or it takes too long."""
        asked_ms, deadline = now_ms(), time.monotonic() + self._params.mlflow.wait_s
        sender.ensure(self._order)
        while not arrived() and time.monotonic() < deadline:
            fault = self._post.read_fault()
            if fault is not None and fault.lost and fault.time_ms >= asked_ms:
                self._warn(fault)
                return
            time.sleep(POLL_S)

    def _warn(self, fault: sender.Fault) -> None:
        """Say once what keeps records from the store."""
        if self._warned:
            return
        self._warned = True
        when = "" if fault.time_ms >= self._started_ms else " when it was last tried"
        advice = "Work goes on, its record waits in .cache/runs; the next stage brings it to the store, or: poseline sync"
        warn(self._stage, f"{fault.reason}{when}. {advice}" if fault.lost else fault.reason)


def finish(
    folder: RecordFolder,
    layout: Layout,
    status: Status,
    *,
    result: Mapping[str, float],
    restored: bool = False,
    params: Params | None = None,
) -> None:
    """End a record; of a stage that succeeded it takes what the files say.

    Args:
        folder: the record.
        layout: the stage's files.
        status: how it ended.
        result: its counts and durations.
        restored: whether DVC restored what it makes.
        params: of the execution, for scores that it did not make and that hold for it; None leaves these out.

    Raises:
        ArtifactError: the record cannot be written.
    """
    record = folder.read().model_copy(update={"status": status, "ended_ms": now_ms(), "metrics": dict(result), "restored": restored})
    if status == "FINISHED":
        with unstopped(record.stage):
            record = collect(record, folder, layout)
            if params is not None:
                record = record.model_copy(update={"kept": kept_headline(params, layout, record.stage)})
            if record.stage == "train" and record.weights:
                export_model(layout.model, folder.model)
    folder.write(record)  # last: with its status it may be mirrored by anyone


@contextmanager
def unstopped(stage: str) -> Iterator[None]:
    """Turn a fault of the tracking into a warning."""
    try:
        yield
    except (OSError, PoselineError) as error:
        warn(stage, f"not tracked: {error}")


@cache
def warn(stage: str, text: str) -> None:
    """Say on stderr what the tracking could not do; the same only once."""
    print(f"poseline: {stage}: warning: {text}", file=sys.stderr)


@contextmanager
def open_stage(stage: str, params: Params, layout: Layout) -> Iterator[StageRun]:
    """The run of a stage, ended with the block: FINISHED, FAILED on an error, KILLED on an interruption.

    Args:
        stage: the stage's DVC name, for example ``score@coco``.
        params: all parameters; tracking is off where ``mlflow.enabled`` is false.
        layout: the stage's files; store and records lie in the main checkout.
    """
    attempt, run = None, StageRun()
    if params.mlflow.enabled:
        with unstopped(stage):
            identity, store = identify(params, layout.root.resolve()), store_address(params.mlflow)
            folder = RecordFolder.create(layout, stage, identity, store=store)
            attempt = Attempt(folder, stage, params, layout)
            run = StageRun(folder.path, mirror=attempt.mirror)
    try:
        yield run
    except BaseException as error:
        if attempt is not None:
            attempt.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", run)
        raise
    if attempt is not None:
        attempt.close("FINISHED", run)
