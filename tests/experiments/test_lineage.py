"""The key that joins the stages of one execution, and what counts as a change."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from poseline.config import Params
from poseline.errors import ArtifactError
from poseline.experiments.lineage import data_entries, data_hash, identify, is_dirty, read_lock
from poseline.project import project_root, workspace_root

LOCK = """
schema: '2.0'
stages:
  mini:
    cmd: poseline mini
    outs: [{path: data/mini, hash: md5, md5: aa.dir, size: 3, nfiles: 2}]
  validate@coco:
    cmd: poseline validate coco
    deps: [{path: data/official, md5: ff.dir}]
  preprocess:
    cmd: poseline preprocess
    deps: [{path: data/validated/manifest.json, md5: bb}, {path: src/poseline/core, md5: cc.dir}]
    outs: [{path: data/processed, md5: dd.dir}]
"""


def test_key_follows_parameters_experiment_and_baseline(
    project: Path, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = identify(make_params(), project)
    assert identify(make_params(uri="sqlite:///elsewhere.db"), project).key == plain.key
    assert identify(make_params(seed=2), project).key != plain.key
    monkeypatch.setenv("DVC_EXP_NAME", "bold-idea")
    named = identify(make_params(), project)
    assert named.key != plain.key
    assert named.name == named.tags["dvc.exp"] == "bold-idea"
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    assert identify(make_params(), project).key != named.key


def test_name_is_the_short_commit(project: Path, make_params: Callable[..., Params]) -> None:
    identity = identify(make_params(), project)
    assert len(identity.name) == 7
    assert identity.tags["mlflow.source.git.commit"].startswith(identity.name)
    assert identity.params["seed"] == "1"
    assert identity.params["data.sets.coco.train.images"] == "train"


def test_only_code_makes_dirty(project: Path) -> None:
    (project / "params.yaml").write_text("seed: 2\n")
    (project / "dvc.lock").write_text(LOCK)
    (project / "notes.txt").write_text("mine\n")
    assert not is_dirty(project)
    (project / "src/new.py").write_text("pass\n")
    assert is_dirty(project)
    (project / "src/new.py").unlink()
    (project / "src/code.py").write_text("changed\n")
    assert is_dirty(project)


def test_project_inside_a_larger_repository(project: Path) -> None:
    inner = project / "inner"
    (inner / "src").mkdir(parents=True)
    (inner / "params.yaml").write_text("seed: 1\n")
    subprocess.run(["git", "-C", str(project), "add", "-A"], check=True)
    assert not is_dirty(inner)
    (inner / "src/new.py").write_text("pass\n")
    assert is_dirty(inner)


def test_without_git_or_lock_lineage_is_unknown(tmp_path: Path, make_params: Callable[..., Params]) -> None:
    identity = identify(make_params(), tmp_path)
    assert identity.name == "workspace"
    assert "mlflow.source.git.commit" not in identity.tags
    assert "poseline.data_hash" not in identity.tags


def test_data_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    lock = read_lock(tmp_path)
    assert set(data_entries(lock)) == {"data/mini", "data/official", "data/validated/manifest.json", "data/processed"}
    (tmp_path / "dvc.lock").write_text(LOCK.replace("cc.dir", "ee.dir"))
    assert data_hash(read_lock(tmp_path)) == data_hash(lock)
    (tmp_path / "dvc.lock").write_text(LOCK.replace("aa.dir", "ee.dir"))
    assert data_hash(read_lock(tmp_path)) != data_hash(lock)


def test_conflicted_lock_is_named(tmp_path: Path, make_params: Callable[..., Params]) -> None:
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nstages: {}\n")
    with pytest.raises(ArtifactError, match=r"dvc\.lock: not a readable DVC lock file"):
        read_lock(tmp_path)
    assert identify(make_params(), tmp_path).name == "workspace"


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert project_root() == workspace_root() == tmp_path.resolve()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    assert project_root() == tmp_path.resolve() / "main"
    assert workspace_root() == tmp_path.resolve()
