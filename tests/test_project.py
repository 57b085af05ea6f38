"""Paths of a project, and data that a queued experiment's copy of it lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from poseline import project
from poseline.config import parse_params
from poseline.config.params import Yaml
from poseline.datasets.sets import split_files
from poseline.doctor import check_data
from poseline.errors import ConfigError
from poseline.project import existing


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A project and its temporary copy, as DVC makes it, made the working directory."""
    main, temporary = tmp_path / "main", tmp_path / "main/.dvc/tmp/exps/tmp1"
    temporary.mkdir(parents=True)
    for folder in (main, temporary):
        (folder / "params.yaml").write_text("{}")
        (folder / "data/tracked").mkdir(parents=True)
    (main / "data/own").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(main))
    monkeypatch.chdir(temporary)
    return main, temporary


def own_set(annotations: str, images: str) -> dict[str, Yaml]:
    return {"format": "coco", "annotations": annotations, "train": None, "val": {"annotations": "val.json", "images": images}}


def test_data_that_only_the_project_has_are_named_with_both_ways_out(copy: tuple[Path, Path]) -> None:
    main, _ = copy
    assert existing("data/tracked", key="data.sets.own.annotations") == Path("data/tracked")
    assert existing(main / "data/own", key="data.sets.own.annotations") == main / "data/own"
    assert existing("data/nowhere", key="data.sets.own.annotations") == Path("data/nowhere")  # its reader says that it is missing
    with pytest.raises(ConfigError) as refused:
        existing("data/own", key="data.sets.own.annotations")
    text = str(refused.value)
    assert text.startswith("data.sets.own.annotations: data/own is not in this experiment's copy of the project")
    assert f"absolute path ({main / 'data/own'})" in text
    assert "dvc add data/own" in text


@pytest.mark.parametrize(("annotations", "images"), [("data/own", "data/tracked"), ("data/tracked", "data/own")])
def test_a_stage_says_so_of_annotations_and_images(copy: tuple[Path, Path], annotations: str, images: str) -> None:
    params = parse_params({"data": {"sets": {"own": own_set(annotations, images)}}}, source="test")
    with pytest.raises(ConfigError, match=r"data\.sets\.own\..*data/own is not in this experiment's copy"):
        split_files(params.data.sets["own"], "val", name="own")


def test_the_doctor_says_so_beforehand(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("tracked", "added", "own", "far"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "val.json").write_text("{}")
    (tmp_path / "added.dvc").write_text("outs: []")
    subprocess.run(["git", "-C", str(tmp_path), "add", "tracked"], check=True)
    sets = {
        "a": own_set("tracked", "added"), "b": own_set("tracked", "own"), "c": own_set(str(tmp_path / "far"), "tracked"),
        "d": own_set("none", "tracked"), "e": own_set("data/mini/coco/annotations", "data/mini/coco/val2017"),
        "f": {**own_set("own", "own"), "enabled": False},
    }  # fmt: skip
    checks = {check.name: check for check in check_data(parse_params({"data": {"sets": sets}}, source="test"), tmp_path)}
    assert [checks[f"data: {name}"].status for name in "abcde"] == ["ok", "warn", "ok", "warn", "ok"]
    assert "data: f" not in checks
    assert checks["data: b"].value == "own is tracked by neither git nor DVC"
    assert "absolute path" in checks["data: b"].hint
    assert "dvc add own" in checks["data: b"].hint
    assert checks["data: d"].value == "no none"


def test_many_paths_are_located_by_one_look_for_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "notes")
    paths = ["a.jpg", "images/b.jpg", "/elsewhere/c.jpg"]
    expected, looks = [project.located(path) for path in paths], []
    look = project.workspace_root
    monkeypatch.setattr(project, "workspace_root", lambda: looks.append(1) or look())
    assert project.all_located(paths) == expected == [tmp_path / "a.jpg", tmp_path / "images/b.jpg", Path("/elsewhere/c.jpg")]
    assert [path.as_posix() for path in project.all_shown(expected)] == paths
    assert len(looks) == 2
