"""Score files fetched back from the experiment store, by run, by name and by alias."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseline.errors import BackendError, DataError
from poseline.experiments import fetch_scores, open_stage
from poseline.experiments.ledger import WEIGHTS, Ledger


@pytest.fixture
def scored(project: Path, make_params) -> str:
    """The parent run of an execution that kept a score file and its table."""
    metrics = project / "coco.json"
    metrics.write_text(json.dumps({"ap": 0.5, "protocol": {"benchmark": "coco"}}))
    table = project / "matches.parquet"
    table.write_bytes(b"table")
    with open_stage("score@coco", make_params(), root=project, workspace=project) as run:
        run.log_report(metrics)
        run.log_artifact(table, "per_person/coco")
    return run.parent_id


def check(folder: Path) -> None:
    assert json.loads((folder / "metrics/coco.json").read_text())["ap"] == 0.5
    assert (folder / "per_person/coco/matches.parquet").read_bytes() == b"table"


def test_by_run_child_and_name(project: Path, make_params, scored: str, store) -> None:
    child, parent = store.stage("score@coco").info.run_id, store.parents()[0]
    for name in (scored, child, parent.info.run_name):
        check(fetch_scores(make_params(), project, name, project / "fetched"))


def test_the_champion(project: Path, make_params, scored: str, store) -> None:
    params = make_params()
    with pytest.raises(DataError, match="champion: model 'poseline' has no version"):
        fetch_scores(params, project, "champion", project / "fetched")
    client = Ledger.open(params.mlflow, project).client
    client.create_registered_model(params.mlflow.registered_model)
    made = client.create_model_version(params.mlflow.registered_model, project.as_uri(), scored, {WEIGHTS: "x"})
    client.set_registered_model_alias(params.mlflow.registered_model, "champion", made.version)
    check(fetch_scores(params, project, "champion", project / "fetched"))


def test_unknown_empty_and_off(project: Path, make_params, dead_uri: str) -> None:
    with pytest.raises(DataError, match="no file, revision, experiment or MLflow run of that name"):
        fetch_scores(make_params(), project, "nobody", project / "fetched")
    with open_stage("train", make_params(), root=project, workspace=project) as run:
        pass
    with pytest.raises(DataError, match="kept no score files"):
        fetch_scores(make_params(), project, run.parent_id, project / "fetched")
    with pytest.raises(BackendError, match="give a folder of scores"):
        fetch_scores(make_params(uri=dead_uri), project, "any", project / "fetched")
