"""One empty store a session, copied for each test: making one costs seconds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout
from poseline.config import MlflowConfig, Params, parse_params
from poseline.experiments import init_store, sender

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

DATASET = {
    "format": "coco",
    "annotations": "data/mini",
    "train": {"annotations": "train.json", "images": "train"},
    "val": {"annotations": "val.json", "images": "val"},
}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(autouse=True)
def _sender_as_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What writes into the store does so in this process, which has loaded MLflow: a process a test would take seconds."""
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401 - not in a thread beside the test's own imports

    def spawn(order: sender.Order, lock: int) -> None:
        threading.Thread(target=sender.serve, args=(order, os.dup(lock)), daemon=True).start()

    monkeypatch.setattr(sender, "spawn", spawn)
    monkeypatch.setattr(sender, "LINGER_S", 0.0)
    monkeypatch.setattr(sender, "POLL_S", 0.01)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database just made."""
    root = tmp_path_factory.mktemp("store")
    init_store(MlflowConfig(), root)
    return root / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    """A git repository with one commit and an empty store."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src/code.py").write_text("pass\n")
    (root / "params.yaml").write_text("seed: 1\n")
    (root / ".gitignore").write_text("/mlflow.db\n/mlartifacts\n/.cache\n")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    shutil.copy(empty_store, root / "mlflow.db")
    (root / ".cache").mkdir()
    mark = {"uri": f"sqlite:///{root / 'mlflow.db'}", "mlflow": version("mlflow")}
    (root / ".cache/mlflow-store.json").write_text(json.dumps(mark))
    return root


@pytest.fixture
def layout(project: Path) -> Layout:
    """The project's files."""
    return Layout(project)


@pytest.fixture
def score(layout: Layout) -> Callable[..., Path]:
    """Write a score file, as a score stage does."""

    def write(name: str = "coco", **values: object) -> Path:
        layout.metrics.mkdir(parents=True, exist_ok=True)
        path = layout.metrics / f"{name}.json"
        path.write_text(json.dumps({"protocol": {"flip": True}, "schema_version": 1, **values}))
        return path

    return write


@pytest.fixture
def make_params() -> Callable[..., Params]:
    """Parameters with a given seed and store."""

    def make(seed: int = 1, uri: str | None = None, *, system_metrics: bool = False, wait_s: float = 60.0) -> Params:
        mlflow = {"uri": uri, "system_metrics": system_metrics, "wait_s": wait_s}
        data = {"sets": {"coco": DATASET}}
        return parse_params({"seed": seed, "data": data, "mlflow": mlflow}, source="test")

    return make


@pytest.fixture
def dead_uri() -> str:
    """An address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class Store:
    """What a store holds, for assertions."""

    def __init__(self, uri: str) -> None:
        from mlflow.tracking import MlflowClient

        self.client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def runs(self, text: str = "", *, archived: bool = False) -> list[Run]:
        """Runs of all experiments, oldest first."""
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(ids, text, run_view_type=3 if archived else 1, order_by=["attributes.start_time"]))

    def parents(self) -> list[Run]:
        """Rows of the table that a user compares."""
        return self.runs("tags.`poseline.role` = 'parent'")

    def stage(self, name: str) -> Run:
        """The one live child of a stage."""
        [run] = self.runs(f"tags.`dvc.stage` = '{name}'")
        return run

    def steps(self, run: Run, key: str) -> list[int]:
        """Steps of a metric's history."""
        return sorted(metric.step for metric in self.client.get_metric_history(run.info.run_id, key))

    def num_rows(self) -> int:
        """All that was ever written: runs, archived ones too, and metric values."""
        runs = self.runs(archived=True)
        return len(runs) + sum(len(self.steps(run, key)) for run in runs for key in run.data.metrics)


@pytest.fixture
def store(project: Path) -> Store:
    """The project's own store."""
    return Store(f"sqlite:///{project / 'mlflow.db'}")


@pytest.fixture
def open_store() -> Callable[[str], Store]:
    """Any store."""
    return Store
