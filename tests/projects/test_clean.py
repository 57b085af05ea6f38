"""`poseline clean`: it shows first, goes by age and size, and leaves outputs and what a run needs to go on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from calling import call

from poseline.artifacts import Layout, file_hash
from poseline.artifacts.scratch import _host
from poseline.config import load_params
from poseline.experiments.record import PENDING
from poseline.stages.train import checkpoint_folder

OLD_DAYS = 20


def put(path: Path, size: int, *, days: float = OLD_DAYS) -> Path:
    """A folder with a file of that size, last written so many days ago."""
    path.mkdir(parents=True)
    (path / "content").write_bytes(b"x" * size)
    then = time.time() - days * 86_400
    for one in (path / "content", path):
        os.utime(one, (then, then))
    return path


def found(capsys: pytest.CaptureFixture[str]) -> set[str]:
    return {row["path"].partition("/.cache/")[2] for row in json.loads(capsys.readouterr().out)["found"]}


def test_only_what_nobody_needs_goes(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cache = project / ".cache"
    params = load_params(project / "params.yaml")
    resumable = checkpoint_folder(params, Layout(Path()), file_hash(project / "data/processed/crops.parquet"), 1)
    put(project / resumable, 10)
    put(cache / "checkpoints/other", 3_000_000)
    put(cache / "checkpoints/young", 10, days=2)
    put(cache / "runs/key/score-1", 10)
    waiting = put(cache / "runs/key/train-2", 10)
    (waiting / PENDING).write_text("{}")
    os.utime(waiting, (0, 0))
    put(cache / "scores/abc", 10)
    put(cache / f"tmp/{_host()}-{2**22 + 1}", 10, days=0)
    alive = put(cache / f"tmp/{_host()}-{os.getpid()}", 10)
    gone = {"checkpoints/other", "runs/key/score-1", "scores/abc", f"tmp/{_host()}-{2**22 + 1}"}
    data = sorted(path for path in (project / "data").rglob("*"))

    assert call(monkeypatch, "clean", "--json") == 0
    assert found(capsys) == gone
    assert (cache / "checkpoints/other").is_dir()
    assert call(monkeypatch, "clean", "--json", "--min-mb", "1") == 0
    assert found(capsys) == {"checkpoints/other"}
    assert call(monkeypatch, "clean", "--json", "--days", "1") == 0
    assert found(capsys) == gone | {"checkpoints/young"}

    assert call(monkeypatch, "clean", "--yes") == 0
    assert "3.0 MB removed" in capsys.readouterr().out
    assert not any((cache / name).exists() for name in gone)
    assert all(path.is_dir() for path in (project / resumable, cache / "checkpoints/young", waiting, alive))
    assert sorted(path for path in (project / "data").rglob("*")) == data
    assert call(monkeypatch, "clean") == 0
    assert "nothing to remove" in capsys.readouterr().out
