"""DVC's experiments become rows of the store, each once: run, queued, run live under the tracker, pulled, unreadable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from poseline.artifacts import Layout
from poseline.config import Params, dump_section
from poseline.experiments import open_stage, sync

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

AUTHOR = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))}
STAGE = """\
import json, pathlib, yaml
seed = yaml.safe_load(open("params.yaml"))["seed"]
for path, text in {
    "data/model/history.jsonl": json.dumps({"epoch": 1, "loss": seed}) + "\\n",
    "data/model/model.safetensors": f"weights {seed}",
    "reports/metrics/coco.json": json.dumps({"ap": seed / 10, "protocol": {}}),
}.items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)
"""
PIPELINE = """\
stages:
  train: {cmd: python stage.py, params: [seed], outs: [data/model]}
  score: {foreach: [coco], do: {cmd: python stage.py, params: [seed], outs: [{reports/metrics/coco.json: {cache: false}}]}}
"""


def run(folder: Path, *commands: str) -> str:
    """The output of the last of some commands."""
    environment = {**os.environ, **AUTHOR, "DVC_NO_ANALYTICS": "1"}
    done = [
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, text=True, env=environment) for command in commands
    ]
    return done[-1].stdout.strip()


@pytest.fixture
def pipeline(project: Path, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline in a few lines, run and committed."""
    monkeypatch.setattr("poseline.experiments.run.export_model", lambda *_: None)  # MLflow's own form of a model takes seconds
    (project / "params.yaml").write_text(yaml.safe_dump(dump_section(make_params())))
    (project / "stage.py").write_text(STAGE)
    (project / "dvc.yaml").write_text(PIPELINE)
    monkeypatch.chdir(project)
    run(project, "dvc init -q", "dvc repro -q", "git add -A", "git commit -qm results")
    return project


def rows(store: Store) -> dict[str, float]:
    """Name of each execution -> its AP."""
    return {row.info.run_name: row.data.metrics["coco.ap"] for row in store.parents()}


@pytest.mark.timeout(300)
def test_every_experiment_is_one_row(
    pipeline: Path, layout: Layout, make_params: Callable[..., Params], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = run(pipeline, "git rev-parse HEAD")
    with monkeypatch.context() as live:  # one that the tracker saw, in part
        live.setenv("DVC_EXP_NAME", "seen")
        live.setenv("DVC_EXP_BASELINE_REV", head)
        with open_stage("score@coco", make_params(seed=4), layout):
            (pipeline / "reports/metrics/coco.json").write_text('{"ap": 0.4, "protocol": {}}')
    run(pipeline, "git checkout -q .", "dvc exp run -q -n seen -S seed=4", "dvc exp run -q -n faster -S seed=2",
        "dvc exp run -q --queue -n queued -S seed=3", "dvc exp run -q --run-all", "git checkout -q .", "dvc checkout -q")  # fmt: skip
    known: set[str] = set()
    report = sync(make_params(), layout, every=True, known=known)
    assert report.experiments == len(known) == 3
    assert report.unreadable == report.out_of_date == ()
    assert sorted(report.restored) == [
        "faster:score@coco", "faster:train", "queued:score@coco", "queued:train", "score@coco", "seen:train", "train",
    ]  # fmt: skip
    assert rows(store) == {head[:7]: 0.1, "seen": 0.4, "faster": 0.2, "queued": 0.3}
    [train] = store.runs("tags.`dvc.stage` = 'train' AND tags.`dvc.exp` = 'queued'")
    assert store.steps(train, "train.loss") == [1]
    assert [file.path for file in store.client.list_artifacts(train.info.run_id, "model_folder/model")] == [
        "model_folder/model/history.jsonl", "model_folder/model/model.safetensors",
    ]  # fmt: skip
    everything = store.num_rows()
    assert sync(make_params(), layout, every=True).restored == ()
    run(pipeline, "dvc exp apply -q faster")
    assert sync(make_params(seed=2), layout, every=True).restored == ()
    assert store.num_rows() == everything


@pytest.mark.timeout(300)
def test_a_pulled_experiment_and_one_that_nobody_can_read(
    pipeline: Path, tmp_path: Path, make_params: Callable[..., Params], project: Path, open_store: Callable[[str], Store]
) -> None:
    run(pipeline, "dvc exp run -q -n faster -S seed=2", "git checkout -q .", f"git clone -q . {tmp_path / 'clone'}")
    clone = tmp_path / "clone"
    run(clone, "git fetch -q origin 'refs/exps/*:refs/exps/*'", "echo 'mlflow: {uri: sqlite:///other.db}' >> params.yaml",
        "git add -A", "git commit -qm other")  # fmt: skip
    broken = run(clone, "echo 'seed: [' > params.yaml", "git commit -qam broken", "git rev-parse HEAD")
    run(clone, "git reset -q --hard HEAD~2", f"git update-ref refs/exps/ab/{'c' * 38}/broken {broken}")
    uri = f"sqlite:///{project / 'mlflow.db'}"
    report = sync(make_params(uri=uri), Layout(clone), every=True)
    assert report.experiments == 2
    [line] = report.unreadable
    assert line.startswith(f"broken: revision {broken[:8]}: DVC cannot read ")
    assert "params.yaml" in line
    assert rows(open_store(uri))["faster"] == 0.2, "though its weights are in no cache of this machine"
