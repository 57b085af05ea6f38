"""The trained model that a name stands for: on this machine, in a revision, in the experiment store; fetched once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout, file_hash, write_json
from poseline.config import MlflowConfig, Params
from poseline.errors import BackendError, DataError
from poseline.experiments import open_stage
from poseline.experiments.execution import find_execution
from poseline.experiments.lineage import WEIGHTS
from poseline.experiments.locate import locate_model
from poseline.experiments.mirror import Mirror

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

AUTHOR = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))}


def write_model(layout: Layout, content: bytes = b"weights") -> Path:
    """What a model folder has; nothing here runs it."""
    layout.model.mkdir(parents=True, exist_ok=True)
    (layout.model / "model.safetensors").write_bytes(content)
    write_json(layout.model / "model.json", {"weights_hash": file_hash(layout.model / "model.safetensors")})
    return layout.model


def check(folder: Path, content: bytes = b"weights") -> int:
    """Pass where the folder holds the model; the inode of its weights."""
    assert (folder / "model.safetensors").read_bytes() == content
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    return (folder / "model.safetensors").stat().st_ino


@pytest.fixture
def trained(layout: Layout, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, store: Store) -> str:
    """The train run of an execution whose model lies in the store alone."""
    monkeypatch.setattr("poseline.experiments.run.export_model", lambda *_: None)  # MLflow's own form of it takes seconds
    with open_stage("train", make_params(), layout):
        write_model(layout)
    for path in layout.model.iterdir():
        path.unlink()
    return store.stage("train").info.run_id


def test_paths(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(layout)
    monkeypatch.chdir(layout.root / "src")
    for name in ("..", "../data/model", "../data/model/model.json", "../data/model/model.safetensors", str(folder)):
        assert locate_model(name, MlflowConfig(), layout).resolve() == folder.resolve()
    for name in (".", "code.py"):
        with pytest.raises(DataError, match=r"no model in it. Give a folder with model.json"):
            locate_model(name, MlflowConfig(), layout)


def test_runs_and_registered_models(layout: Layout, make_params: Callable[..., Params], trained: str, store: Store) -> None:
    mlflow, parent = make_params().mlflow, store.parents()[0]
    client = Mirror.open(mlflow, layout).client
    client.create_registered_model("poseline")
    client.create_model_version("poseline", layout.root.as_uri(), trained)
    for alias in ("champion", "candidate"):
        client.set_registered_model_alias("poseline", alias, "1")
    names = (
        trained, parent.info.run_id, f"runs:/{trained}", f"runs:/{parent.info.run_id}/model_folder", "champion",
        "models:/poseline@champion", "models:/poseline@candidate", "models:/poseline/1",
    )  # fmt: skip
    found = {locate_model(name, mlflow, layout) for name in names}
    found.add(find_execution(parent.info.run_name, mlflow, layout).model(layout.cache / "models"))  # a revision's name, too
    assert len(found) == 1
    assert found.pop().parent == layout.cache / "models"


def test_an_execution_that_scored_the_model_of_another(
    layout: Layout, make_params: Callable[..., Params], trained: str, score: Callable[..., Path], store: Store
) -> None:
    mlflow = make_params().mlflow
    weights = file_hash(write_model(layout) / "model.safetensors")
    client = Mirror.open(mlflow, layout).client
    made = client.create_logged_model(store.parents()[0].info.experiment_id, "poseline", trained, {WEIGHTS: weights})
    client.finalize_logged_model(made.model_id, "READY")
    with open_stage("score@coco", make_params(seed=2), layout):
        score("coco", ap=0.5)
    run_id = store.stage("score@coco").info.run_id
    check(locate_model(run_id, mlflow, layout))
    assert store.client.get_run(run_id).data.tags["mlflow.parentRunId"] not in {trained, store.parents()[0].info.run_id}


def test_weights_are_fetched_once(layout: Layout, make_params: Callable[..., Params], trained: str) -> None:
    mlflow = make_params().mlflow
    first = check(locate_model(trained, mlflow, layout))
    assert check(locate_model(f"runs:/{trained}", mlflow, layout)) == first


def test_what_has_no_model(
    layout: Layout, make_params: Callable[..., Params], dead_uri: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = make_params().mlflow
    with open_stage("mini", make_params(), layout):
        pass
    with pytest.raises(DataError, match=r"kept no model. Name an execution that trained one"):
        locate_model(store.parents()[0].info.run_id, mlflow, layout)
    with pytest.raises(DataError, match=r"^nobody: no file, revision, experiment or MLflow run of that name. Looked from .*sqlite:"):
        locate_model("nobody", mlflow, layout)
    with pytest.raises(DataError, match=r"HEAD: revision [0-9a-f]{8}: no data/model at hand"):
        locate_model("HEAD", mlflow, layout)
    with pytest.raises(BackendError, match=r"^models:/poseline@champion: .* no answer"):
        locate_model("models:/poseline@champion", make_params(uri=dead_uri).mlflow, layout)
    monkeypatch.chdir(layout.root.parent)
    with pytest.raises(DataError, match=r"^nobody: no file or folder of that name, no project around .*, and no MLFLOW_TRACKING_URI"):
        locate_model("nobody", None, Layout(layout.root.parent / "elsewhere"))


def run(folder: Path, *commands: str) -> str:
    """The output of the last of some commands."""
    return [
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **AUTHOR}).stdout.strip()
        for command in commands
    ][-1]


@pytest.mark.parametrize("part", ["", "pose"])
def test_revisions_and_experiments(tmp_path: Path, part: str) -> None:
    """In git and DVC's cache, of a repository or of a project in a part of it."""
    root = tmp_path / "repository" / part
    root.mkdir(parents=True)
    layout = Layout(root)
    write_model(layout, b"first")
    run(root, f"git init -q {tmp_path / 'repository'}", f"dvc init -q {'--subdir' if part else ''}", "dvc add -q data/model",
        "git add -A .", "git commit -qm first", "git tag v1")  # fmt: skip
    write_model(layout, b"second")
    run(root, "dvc add -q data/model", "git add -A .", "git commit -qm second", "git update-ref refs/exps/ab/abcd/faster HEAD",
        "git reset -q --hard v1", "rm -r data/model")  # fmt: skip
    for name in ("HEAD", "v1", run(root, "git rev-parse --short HEAD")):
        check(locate_model(name, MlflowConfig(), layout), b"first")
    assert check(locate_model("faster", MlflowConfig(), layout), b"second") == check(
        locate_model("refs/exps/ab/abcd/faster", MlflowConfig(), layout), b"second"
    )
    run(root, "rm -rf .dvc/cache")
    with pytest.raises(DataError, match=r"faster: revision [0-9a-f]{8}: no data/model at hand.*dvc fetch"):
        locate_model("faster", MlflowConfig(), layout)
