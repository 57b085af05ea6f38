"""A real training through its command, in two processes: one run, owned by the stage, with what both it and its ranks know."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout
from poseline.experiments import pending_records

if TYPE_CHECKING:
    from tests.experiments.conftest import Store


@pytest.mark.timeout(600)
def test_two_processes_are_one_run(
    drawn_project: Path, tiny: tuple[str, ...], tmp_path: Path, open_store: Callable[[str], Store], empty_store: Path
) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(drawn_project, folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    options = (*tiny, "mlflow.enabled=true", "train.processes=2", "train.epochs=2", "train.batch_size=4")
    words = [sys.executable, "-m", "poseline.cli", "train", *(part for option in options for part in ("--set", option))]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "poseline: train: warning" not in done.stderr, done.stderr
    store = open_store(f"sqlite:///{folder / 'mlflow.db'}")
    [train] = store.runs("tags.`dvc.stage` = 'train'", archived=True)
    assert train.info.status == "FINISHED"
    assert store.steps(train, "train.loss") == [1, 2]
    assert store.steps(train, "train.val_ap") == [2]
    assert {"train.epochs", "train.best_val_ap", "duration_s", "system/cpu_utilization_percentage"} <= set(train.data.metrics)
    assert len(train.outputs.model_outputs) == 1
    assert [row.info.status for row in store.parents()] == ["FINISHED"]
    assert pending_records(Layout(folder)) == []
