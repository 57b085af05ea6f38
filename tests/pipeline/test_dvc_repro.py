"""The DVC graph itself, on a handful of drawn pictures: every stage through its command, then nothing left to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from poseline.config import dump_section, load_params

REPOSITORY = Path(__file__).resolve().parents[2]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path, tiny: tuple[str, ...]) -> Path:
    """A fresh git and DVC repository with this project's pipeline and tiny parameters."""
    folder = tmp_path / "repository"
    folder.mkdir()
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder)
    params = load_params(REPOSITORY / "params.yaml", tiny)
    (folder / "params.yaml").write_text(yaml.safe_dump(dump_section(params), sort_keys=False))
    assert run(folder, "git", "init", "-q").returncode == 0
    assert run(folder, "dvc", "init", "-q").returncode == 0
    return folder


@pytest.mark.timeout(600)
def test_the_whole_graph_runs_once_and_then_has_nothing_to_do(repository: Path) -> None:
    first = run(repository, "dvc", "repro")
    assert first.returncode == 0, first.stdout + first.stderr
    shown = json.loads(run(repository, "dvc", "metrics", "show", "--json").stdout)
    metrics = {Path(name).stem: entry["data"] for name, entry in next(iter(shown.values()))["data"].items()}
    assert {"coco", "coco_detections", "mpii", "posetrack"} <= set(metrics)
    assert {"ap", "ap50", "protocol"} <= set(metrics["coco"])
    assert {"map", "mota", "motp"} <= set(metrics["posetrack"])
    page = (repository / "reports/index.html").read_text()
    assert "COCO" in page
    second = run(repository, "dvc", "repro")
    assert "up to date" in second.stdout + second.stderr
    changed = run(repository, "dvc", "repro", "--dry", "score@coco", "--force", "--single-item")
    assert "poseline score coco" in changed.stdout


def test_every_value_of_the_configuration_stands_in_params_yaml() -> None:
    # Hydra's -S refuses to set a key that the file lacks.
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text())

    def missing(full: dict[str, object], given: dict[str, object], prefix: str = "") -> list[str]:
        found = []
        for key, value in full.items():
            if key not in given:
                found.append(prefix + key)
            elif isinstance(value, dict) and isinstance(given[key], dict):
                found += missing(value, given[key], f"{prefix}{key}.")  # type: ignore[arg-type]
        return found

    assert missing(dump_section(load_params(REPOSITORY / "params.yaml")), raw) == []  # type: ignore[arg-type]
