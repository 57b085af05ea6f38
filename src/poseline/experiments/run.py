"""One stage's run: what it logs goes to the store, or waits in the spool. Tracking never stops the work."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from poseline.artifacts import file_hash
from poseline.config import MlflowConfig, Params
from poseline.config.params import Yaml
from poseline.experiments.events import (
    Begin,
    End,
    Event,
    LogArtifact,
    LogDataset,
    LogMetrics,
    LogModel,
    LogParams,
    MetricRow,
    SetTags,
    Status,
    Target,
)
from poseline.experiments.ledger import Ledger, Runs, now_ms
from poseline.experiments.lineage import data_entries, identify, read_lock
from poseline.experiments.model import save_model
from poseline.experiments.sampler import Sampler
from poseline.experiments.score_metrics import headline_metrics, report_metrics
from poseline.experiments.spool import Spool
from poseline.experiments.store import is_refusal, one_line
from poseline.project import project_root, workspace_root

if TYPE_CHECKING:
    import torch

FLUSH_ROWS = 1000
FLUSH_S = 10.0


class NullRun:
    """A run that keeps nothing: tracking is off, or this process is not rank 0."""

    def log_params(self, values: Mapping[str, Yaml]) -> None:
        """Keep the stage's own parameters, beside those of params.yaml that are always kept."""

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Keep values of the stage at a step (an epoch, a batch). Buffered."""

    def log_headline(self, values: Mapping[str, float], *, weights: Path | None = None, dataset: tuple[str, str] | None = None) -> None:
        """Keep values with the stage and with the whole execution, linked to the model whose ``weights`` file made them."""

    def log_report(self, path: Path, *, weights: Path | None = None, dataset: tuple[str, str] | None = None) -> None:
        """Keep a score file: the file, its top-level numbers as headlines, the others with the stage."""

    def log_tags(self, values: Mapping[str, str]) -> None:
        """Keep tags of the stage."""

    def log_artifact(self, path: Path, folder: str | None = None, *, with_execution: bool = False) -> None:
        """Keep a file or folder; ``with_execution`` keeps it with the parent run, as the report page."""

    def log_checkpoint(self, path: Path, step: int) -> None:
        """Keep a checkpoint under ``checkpoints/`` and its step as a tag."""

    def log_dataset(self, name: str, *, digest: str, source: str, num_rows: int | None = None, context: str = "") -> None:
        """Keep which data the stage read; ``digest`` is DVC's (up to 36 characters)."""

    def log_locked_data(self, *paths: str, context: str = "") -> None:
        """Keep data sets by their path in dvc.lock, with DVC's digest; all of them without a path. Unknown paths are passed over."""

    def log_model(
        self, module: torch.nn.Module, weights: Path, *, example: torch.Tensor, requirements: Sequence[str] | None = None
    ) -> None:
        """Keep the network as an exported graph with its signature; ``weights`` is the file that scores name it by.

        Args:
            module: takes one tensor and returns one.
            weights: the model's file; its hash identifies the logged model.
            example: [B, ...], B >= 2, so that the batch stays free.
            requirements: pip requirements to load it; default torch alone, pinned.
        """

    def flush(self) -> None:
        """Send what is buffered."""


class StageRun(NullRun):
    """The run of one attempt at one stage."""

    def __init__(self, begin: Begin, config: MlflowConfig, *, root: Path, workspace: Path) -> None:
        """A run that is not in the store yet; see :meth:`start`."""
        self._begin, self._config, self._root, self._workspace = begin, config, root, workspace
        self._spool = Spool(root, begin)
        self._lock = threading.RLock()
        self._rows: list[MetricRow] = []
        self._flushed = time.monotonic()
        self._ledger: Ledger | None = None
        self._runs: Runs | None = None
        self._warned = False
        self._sampler: Sampler | None = None

    @property
    def run_id(self) -> str | None:
        """The stage's MLflow run, None while the store is away."""
        return self._runs.child_id if self._runs else None

    @property
    def parent_id(self) -> str | None:
        """The execution's MLflow run, None while the store is away."""
        return self._runs.parent_id if self._runs else None

    def start(self) -> None:
        """Find the store and open the runs in it; without it everything goes to the spool."""
        try:
            self._ledger = Ledger.open(self._config, self._root)
            self._runs = self._ledger.begin(self._begin)
            self._ledger.settle(self._runs.parent_id)
        except Exception as error:  # whatever ails the store, the stage runs
            self._lose(error)
        if self._config.system_metrics:
            self._sampler = Sampler(self.log_metrics)
            self._sampler.start()

    def close(self, status: Status) -> None:
        """Send what is left and end the runs."""
        if self._sampler is not None:
            self._sampler.stop()
        self.flush()
        self._emit(End(status=status, ended_ms=now_ms()))
        self._spool.close()

    @override
    def log_params(self, values: Mapping[str, Yaml]) -> None:
        self._emit(LogParams(values={key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}))

    @override
    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        now = now_ms()
        self._buffer([MetricRow(key=key, value=float(value), time_ms=now, step=step) for key, value in values.items()])

    @override
    def log_headline(self, values: Mapping[str, float], *, weights: Path | None = None, dataset: tuple[str, str] | None = None) -> None:
        now, digest = now_ms(), file_hash(weights) if weights is not None and weights.is_file() else None
        targets: tuple[Target, ...] = ("child", "parent")
        rows = [
            MetricRow(
                key=key, value=float(value), time_ms=now, target=target, weights=digest if target == "child" else None, dataset=dataset
            )
            for key, value in values.items()
            for target in targets
        ]
        self._buffer(rows)

    @override
    def log_report(self, path: Path, *, weights: Path | None = None, dataset: tuple[str, str] | None = None) -> None:
        headline = headline_metrics(path)
        self.log_headline(headline, weights=weights, dataset=dataset)
        self.log_metrics({key: value for key, value in report_metrics(path).items() if key not in headline})
        self.log_artifact(path, "metrics")

    @override
    def log_tags(self, values: Mapping[str, str]) -> None:
        self._emit(SetTags(values=dict(values)))

    @override
    def log_artifact(self, path: Path, folder: str | None = None, *, with_execution: bool = False) -> None:
        self._emit(LogArtifact(path=path, folder=folder, target="parent" if with_execution else "child"))

    @override
    def log_checkpoint(self, path: Path, step: int) -> None:
        self._emit(LogArtifact(path=path, folder="checkpoints"))
        self._emit(SetTags(values={"poseline.checkpoint_step": str(step)}))

    @override
    def log_dataset(self, name: str, *, digest: str, source: str, num_rows: int | None = None, context: str = "") -> None:
        self._emit(LogDataset(name=name, digest=digest, source=source, num_rows=num_rows, context=context))

    @override
    def log_locked_data(self, *paths: str, context: str = "") -> None:
        for path, entry in data_entries(read_lock(self._workspace)).items():
            if entry.md5 is not None and (not paths or path in paths):
                self.log_dataset(path, digest=entry.md5, source=path, context=context)

    @override
    def log_model(
        self, module: torch.nn.Module, weights: Path, *, example: torch.Tensor, requirements: Sequence[str] | None = None
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="poseline-model-") as folder:
            target = Path(folder) / "model"
            try:
                save_model(module, target, example=example, requirements=requirements)
            except Exception as error:  # a graph that cannot be exported must not cost the training that made it
                self._warn(f"the model was not logged: {one_line(error)}")
                return
            self._emit(LogModel(path=target, name=self._config.registered_model, weights=file_hash(weights)))

    @override
    def flush(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
            self._flushed = time.monotonic()
            if rows:
                self._emit(LogMetrics(rows=tuple(rows)))

    def _buffer(self, rows: Sequence[MetricRow]) -> None:
        with self._lock:
            self._rows.extend(rows)
            if len(self._rows) >= FLUSH_ROWS or time.monotonic() - self._flushed >= FLUSH_S:
                self.flush()

    def _emit(self, event: Event) -> None:
        with self._lock:
            if self._ledger is not None and self._runs is not None:
                try:
                    self._ledger.apply(event, self._runs)
                    return
                except Exception as error:  # the store's, the network's or the disk's: never the stage's
                    if is_refusal(error):
                        self._warn(f"the experiment store refused {event.kind}: {one_line(error)}")
                        return
                    self._lose(error)
            self._keep(event)

    def _keep(self, event: Event) -> None:
        try:
            self._spool.append(event)
        except OSError as error:
            if not self._warned:
                self._warn(f"{self._spool.folder}: cannot be written ({error.strerror or error}); this stage's tracking is lost")
            self._warned = True

    def _lose(self, error: Exception) -> None:
        self._ledger = self._runs = None
        where = os.path.relpath(self._spool.folder, Path.cwd())
        self._warn(f"no experiment store ({one_line(error)}). Work goes on, its log waits in {where}; send it with: poseline sync")

    def _warn(self, text: str) -> None:
        print(f"poseline: {self._begin.stage}: warning: {text}", file=sys.stderr)


@contextmanager
def open_stage(stage: str, params: Params, *, root: Path | None = None, workspace: Path | None = None) -> Iterator[NullRun]:
    """The run of a stage, ended with the block: FINISHED, FAILED on an error, KILLED on an interruption.

    Args:
        stage: the stage's DVC name, for example ``score@coco``.
        params: all parameters; tracking is off where ``mlflow.enabled`` is false.
        root: the main checkout, where store and spool lie; default :func:`poseline.project.project_root`.
        workspace: the tree with dvc.lock; default the root, but in a DVC stage the tree that the stage works in.
    """
    if not params.mlflow.enabled:
        yield NullRun()
        return
    root = root or project_root()
    workspace = workspace or (workspace_root() if os.environ.get("DVC_ROOT") else root)
    begin = Begin(session=uuid.uuid4().hex, stage=stage, identity=identify(params, workspace), started_ms=now_ms())
    run = StageRun(begin, params.mlflow, root=root, workspace=workspace)
    run.start()
    try:
        yield run
    except BaseException as error:
        run.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.close("FINISHED")
