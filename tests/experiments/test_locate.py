"""Score files found by path, and fetched back from the experiment store by run, by name and by alias."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from poseline.artifacts import Layout
from poseline.errors import BackendError, DataError
from poseline.experiments import locate, open_stage
from poseline.experiments.execution import find_execution
from poseline.experiments.mirror import Mirror
from poseline.experiments.revision import Revision


@pytest.fixture
def scored(layout: Layout, make_params, score, store) -> str:
    """The parent run of an execution that kept a score file and its table, which lie no longer in the workspace."""
    with open_stage("score@coco", make_params(), layout):
        path = score("coco", ap=0.5)
        table = layout.per_person / "coco/matches.parquet"
        table.parent.mkdir(parents=True)
        table.write_bytes(b"table")
    path.unlink()
    table.unlink()
    return store.parents()[0].info.run_id


def check(found) -> None:
    assert list(found) == ["coco"]
    assert json.loads(found["coco"].metrics.read_text())["ap"] == 0.5
    assert found["coco"].matches.read_bytes() == b"table"


def test_by_run_child_and_name(layout: Layout, make_params, scored: str, store) -> None:
    child, parent = store.stage("score@coco").info.run_id, store.parents()[0]
    for name in (scored, child, parent.info.run_name):
        check(find_execution(name, make_params().mlflow, layout).scores(layout.cache / "scores"))


def test_one_name_one_place(layout: Layout, make_params, scored: str, score, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path before a revision, a revision before a run."""
    monkeypatch.chdir(layout.root)
    check(locate.locate_run(scored, make_params(), layout))
    folder = score("coco", ap=0.75).parent
    assert json.loads(locate.locate_run(str(folder), make_params(), layout)["coco"].metrics.read_text())["ap"] == 0.75
    assert json.loads(locate.locate_run("reports/metrics/coco.json", make_params(), layout)["coco"].metrics.read_text())["ap"] == 0.75


def test_the_champion(layout: Layout, make_params, scored: str) -> None:
    params = make_params()
    with pytest.raises(DataError, match="champion: model 'poseline' has no version of the alias 'champion'"):
        locate.locate_run("champion", params, layout)
    client = Mirror.open(params.mlflow, layout).client
    client.create_registered_model(params.mlflow.registered_model)
    made = client.create_model_version(params.mlflow.registered_model, layout.root.as_uri(), scored)
    client.set_registered_model_alias(params.mlflow.registered_model, "champion", made.version)
    for name in ("champion", "models:/poseline@champion", f"models:/poseline/{made.version}", f"runs:/{scored}", f"runs:/{scored}/metrics"):
        check(locate.locate_run(name, params, layout))
    with pytest.raises(DataError, match="models:/poseline@candidate: model 'poseline' has no version of the alias 'candidate'"):
        locate.locate_run("models:/poseline@candidate", params, layout)
    with pytest.raises(DataError, match="models:/other/7: model 'other' has no version '7'"):
        locate.locate_run("models:/other/7", params, layout)
    with pytest.raises(DataError, match="expected models:/NAME@ALIAS or models:/NAME/VERSION"):
        locate.locate_run("models:/poseline", params, layout)


def test_unknown_empty_and_off(layout: Layout, make_params, dead_uri: str, store) -> None:
    with pytest.raises(DataError, match="no file, revision, experiment or MLflow run of that name"):
        locate.locate_run("nobody", make_params(), layout)
    with open_stage("train", make_params(), layout):
        pass
    with pytest.raises(DataError, match="kept no score files"):
        locate.locate_run(store.parents()[0].info.run_id, make_params(), layout)
    with pytest.raises(BackendError, match="give a folder of scores"):
        locate.locate_run("any", make_params(uri=dead_uri), layout)
    off = make_params().model_copy(update={"mlflow": make_params().mlflow.model_copy(update={"enabled": False})})
    with pytest.raises(BackendError, match=r"mlflow\.enabled is false"):
        locate.locate_run("any", off, layout)


def test_a_revision_of_a_project_in_a_part_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "repository/pose"
    (project / "reports/per_person/coco").mkdir(parents=True)
    (project / "reports/metrics").mkdir()
    (project / "reports/metrics/coco.json").write_text('{"ap": 0.5}')
    (project / "reports/per_person/coco/matches.parquet").write_bytes(b"table")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ann@example.org")
    for command in (
        "git init -q ..", f"{sys.executable} -m dvc init -q --subdir", f"{sys.executable} -m dvc add -q reports/per_person/coco",
        "git add -A .", "git commit -qm scores", "rm -r reports",
    ):  # fmt: skip
        subprocess.run(command.split(), cwd=project, check=True, capture_output=True)
    commit = locate.find_commit(project, "HEAD")
    assert commit is not None
    check(Revision(project, commit, "HEAD").scores(tmp_path / "fetched"))
