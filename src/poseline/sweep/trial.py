"""One trial of a sweep: a DVC experiment in a copy of the project, watched while it trains, and stopped where it is not worth going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from poseline.artifacts import Layout, scratch_folder
from poseline.config.params import Yaml
from poseline.errors import ArtifactError, ConfigError
from poseline.experiments.locate import find_commit
from poseline.experiments.outputs import read_metrics
from poseline.experiments.record import HISTORY, RecordFolder, now_ms, records_root
from poseline.experiments.revision import Revision
from poseline.projects.params_text import flow

LOOK_S, PATIENCE_S = 0.5, 120.0
"""Seconds between two looks at the history, and those that a trial has to end in after it was told to."""
State = Literal["complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: how.
        reason: of a failure, in one line.
    """

    state: State
    reason: str = ""


class History:
    """The validation AP that the training of an experiment writes into its record, epoch by epoch.

    Args:
        layout: of the project.
        name: of the experiment.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout, self.name, self.since = layout, name, now_ms()
        self.record: RecordFolder | None = None
        self._offset = 0

    def new_scores(self) -> Iterator[tuple[int, float]]:
        """Epoch, counted from 1, and AP of the validations since the last call."""
        self.record = self.record or self._find()
        if self.record is not None:
            points, self._offset = self.record.read_points(HISTORY, self._offset)
            yield from ((point.step, point.values["train.val_ap"]) for point in points if "train.val_ap" in point.values)

    def _find(self) -> RecordFolder | None:
        for path in records_root(self.layout).glob("*/train-*/run.json"):
            folder = RecordFolder(path.parent)
            with suppress(ArtifactError, ValueError):
                if int(path.parent.name.removeprefix("train-")[:11], 16) >= self.since and folder.read().identity.name == self.name:
                    return folder
        return None


def run_trial(
    layout: Layout, name: str, values: Mapping[str, Yaml], *, log: Path, give_up: Callable[[int, float], bool],
    interrupted: Callable[[], bool],
) -> Outcome:  # fmt: skip
    """Run one experiment to its end, or until somebody wants it ended.

    Args:
        layout: of the project.
        name: of the experiment.
        values: of the parameters.
        log: what DVC and the stages say.
        give_up: whether to stop the training after a validation, by epoch and AP.
        interrupted: whether the sweep itself is to end.
    """
    settings = [word for key, value in values.items() for word in ("-S", f"{key}={flow(value)}")]
    command = [sys.executable, "-P", "-m", "dvc", "exp", "run", "--temp", "-n", name, *settings]
    history, state = History(layout, name), "complete"
    log.parent.mkdir(parents=True, exist_ok=True)
    # In a session of its own: Ctrl-C reaches the sweep alone, which ends the trial so that its checkpoint is kept.
    with (
        log.open("w") as said,
        subprocess.Popen(command, cwd=layout.root.resolve(), stdout=said, stderr=said, start_new_session=True) as dvc,
    ):
        while dvc.poll() is None and state == "complete":
            if interrupted():
                state = "interrupted"
            elif any(give_up(epoch, ap) for epoch, ap in history.new_scores()):
                state = "pruned"
            else:
                time.sleep(LOOK_S)
        if state != "complete":
            end(dvc, history.record)
    if state != "complete":
        return Outcome("pruned" if state == "pruned" else "interrupted")
    return Outcome("failed", find_reason(log)) if dvc.returncode else Outcome("complete")


def end(dvc: subprocess.Popen[bytes], training: RecordFolder | None) -> None:
    """End a trial: the training by a signal on which it saves its state, else the experiment; by force where that takes too long."""
    with suppress(ProcessLookupError, ArtifactError):
        if training is not None and training.is_running():
            os.kill(training.read().process.pid, signal.SIGTERM)
        else:
            os.killpg(dvc.pid, signal.SIGINT)
    try:
        dvc.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(dvc.pid, signal.SIGKILL)


def find_reason(log: Path) -> str:
    """The line that says why an experiment failed: of a stage of ours, else the last of DVC's."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    theirs = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (own or theirs or [line for line in lines if line] or ["it said nothing"])[-1]


def read_result(layout: Layout, name: str, metric: str) -> float:
    """A metric of an experiment that has ended.

    Raises:
        ConfigError: it has no such metric.
    """
    root = layout.root.resolve()
    commit = find_commit(root, name)
    found: dict[str, float] = {}
    if commit:
        with TemporaryDirectory(dir=scratch_folder(layout.cache)) as folder:
            Revision(root, commit, name).copy(("reports/metrics",), Path(folder), names=("*.json",))
            found = read_metrics(sorted(Path(folder).rglob("*.json")))
    if metric not in found:
        raise ConfigError(f"--metric {metric}: {name} has no such metric. {suggest(metric, found)}")
    return found[metric]


def suggest(metric: str, known: Mapping[str, float]) -> str:
    """The names that were meant, in words."""
    close = get_close_matches(metric, known, n=3, cutoff=0.5) or [key for key in known if key.count(".") == 1][:5]
    return f"There are {len(known)}, for example {', '.join(close)}." if known else "It has no scores at all."
