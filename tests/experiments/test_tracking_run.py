"""Runs in a real sqlite store."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import file_hash
from poseline.config import Params, dump_section
from poseline.errors import BackendError
from poseline.experiments import NullRun, StageRun, open_stage, set_champion, tracking_uri

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

DIES = """
import json, os, signal, sys
from pathlib import Path
from poseline.config import parse_params
from poseline.experiments import open_stage
with open_stage("train", parse_params(json.loads(sys.argv[2]), source="test"), root=Path(sys.argv[1])) as run:
    run.log_metrics({"loss": 1.0})
    run.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_row_an_execution_and_one_child_a_stage(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    params = make_params()
    with open_stage("train", params, root=project) as run:
        run.log_params({"resumed": False, "note": "first"})
        run.log_metrics({"loss": 0.5}, step=0)
        run.log_metrics({"loss": 0.25}, step=1)
    report = project / "coco.json"
    report.write_text(json.dumps({"ap": 0.625, "per_keypoint": {"nose": 0.5}, "protocol": {"flip": True}, "schema_version": 1}))
    with open_stage("score@coco", params, root=project) as run:
        run.log_report(report)
    with open_stage("score@mpii", params, root=project) as run:
        run.log_headline({"mpii.pckh": 0.875})
    [parent] = store.parents()
    assert parent.data.metrics == {"coco.ap": 0.625, "mpii.pckh": 0.875}
    assert parent.data.params["train.epochs"] == str(params.train.epochs)
    assert parent.info.status == "FINISHED"
    train, coco = store.stage("train"), store.stage("score@coco")
    assert train.data.tags["mlflow.parentRunId"] == coco.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert store.steps(train, "loss") == [0, 1]
    assert (train.data.params["resumed"], train.data.params["note"]) == ("false", "first")
    assert coco.data.metrics == {"coco.ap": 0.625, "coco.per_keypoint.nose": 0.5}
    assert [file.path for file in store.client.list_artifacts(coco.info.run_id, "metrics")] == ["metrics/coco.json"]
    assert (project / "mlartifacts").is_dir()


def test_experiment_has_a_table_of_scores(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    store.client.create_experiment("poseline")
    with open_stage("train", make_params(), root=project):
        pass
    tags = store.client.get_experiment_by_name("poseline").tags
    assert "metrics.`coco.ap`" in json.loads(tags["mlflow.sharedViewState.poseline"])["selectedColumns"]
    assert tags["mlflow.experiment.primaryMetric.name"] == "coco.ap"


def test_other_parameters_are_another_row(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    for seed in (1, 2):
        with open_stage("train", make_params(seed), root=project):
            pass
    assert len(store.parents()) == 2


def test_rerun_replaces_its_child(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    for ap in (0.25, 0.5):
        with open_stage("score@coco", make_params(), root=project) as run:
            run.log_headline({"coco.ap": ap})
    assert store.stage("score@coco").data.metrics == {"coco.ap": 0.5}
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]
    assert len(store.runs("tags.`dvc.stage` = 'score@coco'", archived=True)) == 2


def test_failure_marks_both_until_the_rerun(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("train", make_params(), root=project):
        _ = 1 / 0
    with open_stage("score@coco", make_params(), root=project):
        pass
    assert store.stage("train").info.status == "FAILED"
    assert [row.info.status for row in store.parents()] == ["FAILED"]
    with open_stage("train", make_params(), root=project):
        assert [row.info.status for row in store.parents()] == ["RUNNING"]
    assert [row.info.status for row in store.parents()] == ["FINISHED"]


def test_kill_is_found_by_the_next_attempt(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    words = [sys.executable, "-c", DIES, str(project), json.dumps(dump_section(make_params()))]
    assert subprocess.run(words, timeout=60, check=False).returncode == -signal.SIGKILL
    assert store.stage("train").info.status == "RUNNING"
    with open_stage("train", make_params(), root=project):
        pass
    statuses = [run.info.status for run in store.runs("tags.`dvc.stage` = 'train'", archived=True)]
    assert sorted(statuses) == ["FINISHED", "KILLED"]
    assert store.stage("train").info.status == "FINISHED"


def test_interruption_is_a_kill(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(KeyboardInterrupt), open_stage("train", make_params(), root=project):
        raise KeyboardInterrupt
    assert store.stage("train").info.status == "KILLED"


def test_metrics_are_buffered(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    with open_stage("train", make_params(), root=project) as run:
        for step in range(999):
            run.log_metrics({"loss": 1.0}, step)
        assert store.stage("train").data.metrics == {}
        run.log_metrics({"loss": float("nan")}, 999)
        assert len(store.steps(store.stage("train"), "loss")) == 1000


def test_refused_values_cost_a_warning_only(
    project: Path, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    with open_stage("train", make_params(), root=project) as run:
        run.log_params({"seed": "another"})
        run.log_metrics({"loss": 1.0})
    assert "train: warning: the experiment store refused params" in capsys.readouterr().err
    assert store.stage("train").data.metrics == {"loss": 1.0}
    assert not (project / ".cache/mlflow-spool").exists()


def test_system_metrics(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    with open_stage("train", make_params(system_metrics=True), root=project):
        pass
    assert "system/cpu_utilization_percentage" in store.stage("train").data.metrics


def test_data_sets_carry_dvc_digests(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    digest = "0123456789abcdef0123456789abcdef.dir"
    (project / "dvc.lock").write_text(f"stages: {{mini: {{cmd: x, outs: [{{path: data/mini, md5: {digest}}}]}}}}\n")
    with open_stage("train", make_params(), root=project) as run:
        run.log_locked_data("data/mini", "data/unknown", context="training")
        run.log_dataset("extra", digest="abc", source="data/extra", num_rows=12)
    inputs = store.stage("train").inputs.dataset_inputs
    assert {item.dataset.name: item.dataset.digest for item in inputs} == {"data/mini": digest, "extra": "abc"}
    assert {tag.value for item in inputs for tag in item.tags} == {"training"}


def test_model_is_logged_linked_and_made_champion(
    project: Path, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pytorch
    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    weights = project / "model.safetensors"
    weights.write_bytes(b"weights")
    params = make_params()
    with pytest.raises(BackendError, match="knows no model with these weights"):
        set_champion(params, project, weights=weights)
    with open_stage("train", params, root=project) as run:
        run.log_model(network, weights, example=torch.zeros(2, 3, 8, 8))
        assert network.training
    with open_stage("score@coco", params, root=project) as run:
        run.log_headline({"coco.ap": 0.5}, weights=weights, dataset=("coco val", "abc"))
    [output] = store.stage("train").outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    assert [(metric.key, metric.value, metric.dataset_name) for metric in model.metrics] == [("coco.ap", 0.5, "coco val")]
    assert model.tags["poseline.weights"] == file_hash(weights)
    assert set_champion(params, project, weights=weights) == set_champion(params, project, weights=weights) == "1"
    assert store.client.get_model_version_by_alias("poseline", "champion").source == f"models:/{output.model_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(params.mlflow, project))
    loaded = mlflow.pytorch.load_model("models:/poseline@champion")
    images = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), network.eval()(images))


def test_model_that_cannot_be_exported_costs_a_warning(
    project: Path, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    with open_stage("train", make_params(), root=project) as run:
        run.log_model(torch.nn.Identity(), project / "none", example=torch.zeros(1, 3))
    assert "the model was not logged: example: expected a batch of at least 2" in capsys.readouterr().err


def test_off_means_nothing_is_written(tmp_path: Path, make_params: Callable[..., Params]) -> None:
    params = make_params().model_copy(update={"mlflow": make_params().mlflow.model_copy(update={"enabled": False})})
    with open_stage("train", params, root=tmp_path) as run:
        run.log_metrics({"loss": 1.0})
        assert not isinstance(run, StageRun)
    assert list(tmp_path.iterdir()) == []


def test_null_run_takes_all_that_a_run_takes() -> None:
    public = {name for name in vars(StageRun) if name.startswith("log_")} | {"flush"}
    assert public == {name for name in vars(NullRun) if not name.startswith("_")}
