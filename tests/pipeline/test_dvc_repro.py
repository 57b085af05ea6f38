"""The DVC graph itself, on a handful of drawn images: every stage through its command, then nothing left to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from calling import call

from poseline.config import dump_section, load_params

REPOSITORY = Path(__file__).resolve().parents[2]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, tiny: tuple[str, ...]) -> Path:
    """A fresh git and DVC repository with this project's pipeline and tiny parameters, in which `dvc repro` has run."""
    folder = tmp_path_factory.mktemp("pipeline") / "repository"
    folder.mkdir()
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder)
    params = load_params(REPOSITORY / "params.yaml", tiny)
    (folder / "params.yaml").write_text(yaml.safe_dump(dump_section(params), sort_keys=False))
    assert run(folder, "git", "init", "-q").returncode == 0
    assert run(folder, "dvc", "init", "-q").returncode == 0
    first = run(folder, "dvc", "repro")
    assert first.returncode == 0, first.stdout + first.stderr
    return folder


def stale_stages(repository: Path) -> set[str]:
    """The stages that `dvc status` calls changed."""
    from dvc.repo import Repo

    with Repo(str(repository)) as repo:
        return {stage.rpartition("dvc.yaml:")[2] for stage in repo.status()}


@pytest.mark.timeout(600)
def test_the_whole_graph_runs_once_and_then_has_nothing_to_do(repository: Path) -> None:
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


@pytest.mark.timeout(600)
def test_every_stage_runs_where_only_what_it_names_is(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that pulls for each stage what dvc.yaml names, and no more."""
    stages = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    assert {"mini", "track@posetrack", "report"} <= set(stages)
    for name, stage in stages.items():
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(repository / "params.yaml", folder)
        named = [Path(dep["path"]) for dep in stage.get("deps", []) if not dep["path"].startswith("src/")]
        for path in dict.fromkeys(named):
            source, target = repository / path, folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        monkeypatch.chdir(folder)
        program, *arguments = stage["cmd"].split()
        assert program == "poseline"
        assert call(monkeypatch, *arguments) == 0, name
        for out in stage["outs"]:
            assert (folder / out["path"]).exists(), (name, out["path"])


@contextmanager
def changed(path: Path, added: str) -> Iterator[None]:
    """A file with text added at its end, for as long as the block runs."""
    before = path.read_bytes()
    path.write_bytes(before + added.encode())
    try:
        yield
    finally:
        path.write_bytes(before)


SETS = ("coco", "mpii", "posetrack")
EACH = {name: {f"{name}@{item}" for item in SETS} for name in ("validate", "predict", "score")}
# A module that a stage executes -> every stage that executes it.
EXECUTED = {
    "mini/face.py": {"mini"},
    "stages/mini.py": {"mini"},
    "checks/tables.py": EACH["validate"],
    "datasets/annotations.py": EACH["validate"] | {"preprocess"} | EACH["predict"] | {"track@posetrack", "report"} | EACH["score"],
    "crops/preprocess.py": {"preprocess"},
    "stages/preprocess.py": {"preprocess"},
    "train/loop.py": {"train"},
    "crops/augment.py": {"train"},
    "stages/predict.py": EACH["predict"],
    "infer/predict.py": EACH["predict"],
    "core/nms.py": EACH["predict"],
    "track/bytepose.py": {"track@posetrack"},
    "stages/track.py": {"track@posetrack"},
    "metrics/pckh.py": EACH["score"] | {"report"},   # the protocol says which metrics stand in tables
    "stages/score.py": EACH["score"],
    "report/page.py": {"report"},
    "stages/report.py": {"report"},
}
# Code that decides no result.
NOT_EXECUTED = ("experiments/store.py", "cli/pipeline.py", "doctor.py", "stage_code.py")


@pytest.mark.timeout(600)
def test_exactly_the_stages_that_execute_a_changed_line_are_stale(repository: Path) -> None:
    assert stale_stages(repository) == set()
    for name, expected in EXECUTED.items():
        with changed(repository / "src/poseline" / name, "\nCHANGED_CONSTANT = 1\n"):
            assert stale_stages(repository) == expected, name
    for name in NOT_EXECUTED:
        with changed(repository / "src/poseline" / name, "\n# a comment\nCHANGED_CONSTANT = 1\n"):
            assert stale_stages(repository) == set(), name
    assert stale_stages(repository) == set()


@pytest.mark.timeout(600)
def test_a_changed_parameter_of_one_set_concerns_that_set(repository: Path) -> None:
    params = repository / "params.yaml"
    before = params.read_text()
    raw = yaml.safe_load(before)
    raw["data"]["sets"]["mpii"]["head_boxes"] = None
    params.write_text(yaml.safe_dump(raw, sort_keys=False))
    assert stale_stages(repository) == {"validate@mpii", "preprocess", "predict@mpii", "score@mpii", "report"}
    params.write_text(before)


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
