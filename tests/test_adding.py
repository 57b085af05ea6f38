"""What docs/adding.md says of this package's own files; its toy package is run by the tests of models, track and datasets."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import typer
from toy_package import DOCUMENT, read_examples
from typer.testing import CliRunner

from poseline.artifacts import Layout, PoseTable, TableHeader, write_poses
from poseline.config import load_params
from poseline.core.poses import PoseSet

SOURCE = DOCUMENT.parents[1] / "src/poseline"
TEXT = DOCUMENT.read_text()
ONE = PoseSet(keypoints=np.ones((1, 17, 2)), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[0.0, 0, 9, 9]]))


def own_blocks(language: str) -> list[str]:
    """The code blocks that go into this package."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if not re.match(r"# (toy_poses/\w+\.py|pyproject\.toml)\n", block)]


def test_the_files_that_it_names_exist() -> None:
    names = set(re.findall(r"`(?:src/poseline/)?((?:[a-z]+/)*[a-z_]+\.(?:py|html\.j2))`", TEXT))
    own = {name for name in names if "/" in name and "toy" not in name and name not in ("track/nearest.py", "stages/count.py")}
    assert len(own) >= 10
    assert [name for name in own if not (SOURCE / name).exists() and not (DOCUMENT.parents[1] / name).exists()] == []


def test_the_lines_that_its_diffs_change_are_in_the_code() -> None:
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    lines = [line[1:] for block in own_blocks("diff") for line in block.splitlines() if line[:1] in ("-", " ")]
    assert len(lines) >= 5
    assert [line for line in lines if line not in source] == []


def test_its_stage_and_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DOCUMENT.parents[1] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    people = PoseTable(pd.DataFrame({"dataset": ["coco", "mpii", "coco"]}), PoseSet.concat([ONE, ONE, ONE]))
    write_poses(Path("data/processed/people.parquet"), people, TableHeader("people", "coco17"))
    stage, *commands = own_blocks("python")
    module: dict[str, object] = {}
    exec(stage, module)  # the page of this repository
    counts = module["run"](load_params(Path("params.yaml")), Layout(Path()))  # type: ignore[operator]
    assert counts == {"coco": 2, "mpii": 1}
    assert Path("reports/count.json").is_file()
    names = {**vars(import_module("poseline.cli.app")), "app": typer.Typer()}
    assert len(commands) == 2
    for command in commands:
        exec(command, names)
    monkeypatch.setattr("poseline.stages.count", SimpleNamespace(run=module["run"]), raising=False)
    runner = CliRunner()
    assert "coco17" in runner.invoke(names["app"], ["skeletons"]).stdout  # type: ignore[arg-type]
    shown = runner.invoke(names["app"], ["count", "--set", "mlflow.enabled=false", "--json"], catch_exceptions=False)  # type: ignore[arg-type]
    assert '"coco": 2' in shown.stdout


def test_the_package_is_complete() -> None:
    files = {f"toy_poses/{name}.py" for name in ("codec", "network", "tracker", "files", "evaluate")}
    assert read_examples().keys() == {"pyproject.toml", *files}
