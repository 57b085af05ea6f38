"""A run that starts from another model, or learns from one, goes on from no checkpoint that began with other weights of the same name."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from poseline.artifacts import Layout, file_hash
from poseline.config import Params, load_params
from poseline.errors import StoppedError
from poseline.experiments import StageRun
from poseline.stages import train
from poseline.stages.train import checkpoint_folder
from poseline.train import loop
from poseline.train.distributed import Rank


def run_training(project: Path, overrides: tuple[str, ...]) -> str:
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
    return file_hash(project / "data/model/model.safetensors")


def folder_of(params: Params, start: Path | None = None) -> str:
    return checkpoint_folder(params, Layout(Path()), "data", 1, start).name


@pytest.mark.parametrize("key", ["train.init_from", "train.teacher.model"])
@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_other_content_under_the_same_name_is_another_run(key: str, file: str, project: Path, tiny: tuple[str, ...]) -> None:
    model = project / "before"
    model.mkdir()
    for name in ("model.safetensors", "model.json"):
        (model / name).write_text("{}")
    params = load_params(project / "params.yaml", (*tiny, f"{key}=before"))
    first = folder_of(params)
    assert folder_of(params) == first != folder_of(load_params(project / "params.yaml", tiny))
    (model / file).write_text("other")
    assert folder_of(params) != first
    (model / file).write_text("{}")
    assert folder_of(params) == first
    (model / "history.jsonl").write_text("says nothing of the weights")
    assert folder_of(params) == first


def test_an_alias_that_moved_is_another_run(project: Path, tiny: tuple[str, ...]) -> None:
    params = load_params(project / "params.yaml", (*tiny, "train.init_from=models:/poseline@champion"))
    for name in ("one", "two"):
        (project / name).mkdir()
        (project / name / "model.safetensors").write_text(name)
    assert folder_of(params, project / "one") != folder_of(params, project / "two")
    shutil.copytree(project / "one", project / "three")
    assert folder_of(params, project / "one") == folder_of(params, project / "three")


def test_an_onnx_file_counts_with_its_description_and_weights(project: Path, tiny: tuple[str, ...]) -> None:
    params = load_params(project / "params.yaml", (*tiny, "train.teacher.model=net.onnx"))
    found = [folder_of(params)]
    for name in ("net.onnx", "net.yaml", "net.onnx.data"):
        (project / name).write_text(name)
        found.append(folder_of(params))
    assert len(set(found)) == 4


@pytest.mark.parametrize("key", ["train.init_from", "train.teacher.model"])
def test_a_resumed_run_mixes_no_two_starts(key: str, project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 2):
        run_training(project, (*tiny, f"seed={seed}"))
        (project / "data/model").rename(project / f"from{seed}")
    overrides = (*tiny, "train.epochs=2", f"{key}=before")
    shutil.copytree("from2", "before")
    whole = run_training(project, overrides)
    shutil.rmtree("data/model")
    shutil.rmtree("before")
    shutil.copytree("from1", "before")
    seed = loop.seed_step

    def stop_in_step_3(value: int, now: int, rank: Rank) -> None:
        seed(value, now, rank)
        if now == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "seed_step", stop_in_step_3)
        with pytest.raises(StoppedError):
            run_training(project, overrides)
    shutil.rmtree("before")
    shutil.copytree("from2", "before")
    assert run_training(project, overrides) == whole
