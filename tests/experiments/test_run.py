"""Runs in a real sqlite store."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout
from poseline.config import Params, dump_section
from poseline.experiments import StageRun, open_stage, sender, sync
from poseline.experiments import run as run_module
from poseline.experiments.record import HISTORY, PENDING, RecordFolder, pending_records

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

DIES = """
import json, os, signal, sys
from pathlib import Path
from poseline.artifacts import Layout
from poseline.config import parse_params
from poseline.experiments import open_stage, run
with open_stage("train", parse_params(json.loads(sys.argv[2]), source="test"), Layout(Path(sys.argv[1]))) as stage:
    stage.log_metrics({"train.loss": 1.0}, step=1)
    if sys.argv[3] == "mirrored":
        stage.mirror()
        stage.log_metrics({"train.loss": 0.5}, step=2)
    with (stage.folder / "metrics.jsonl").open("a") as handle:
        handle.write('{"time_ms": 1, "step": 3, "val')
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die(project: Path, params: Params, when: str) -> None:
    """A training killed in the middle, its history cut short in a line."""
    words = [sys.executable, "-c", DIES, str(project), json.dumps(dump_section(params)), when]
    assert subprocess.run(words, timeout=120, check=False).returncode == -signal.SIGKILL


def test_one_row_an_execution_and_one_child_a_stage(
    layout: Layout, store: Store, make_params: Callable[..., Params], score: Callable[..., Path]
) -> None:
    params = make_params()
    with open_stage("train", params, layout) as run:
        run.log_metrics({"train.loss": 0.5}, step=1)
        run.log_metrics({"train.loss": 0.25}, step=2)
        run.result["train.epochs"] = 2.0
    with open_stage("score@coco", params, layout):
        score("coco", ap=0.625, per_keypoint={"nose": 0.5})
    with open_stage("score@mpii", params, layout):
        score("mpii", pckh=0.875)
    [parent] = store.parents()
    assert parent.data.metrics == {"coco.ap": 0.625, "mpii.pckh": 0.875}
    assert parent.data.params["train.epochs"] == str(params.train.epochs)
    assert parent.info.status == "FINISHED"
    train, coco = store.stage("train"), store.stage("score@coco")
    assert train.data.tags["mlflow.parentRunId"] == coco.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert train.data.params == parent.data.params
    assert train.data.tags["poseline.key"] == parent.data.tags["poseline.key"]
    assert store.steps(train, "train.loss") == [1, 2]
    assert train.data.metrics["train.epochs"] == 2.0
    assert coco.data.metrics == {"coco.ap": 0.625, "coco.per_keypoint.nose": 0.5}
    assert [file.path for file in store.client.list_artifacts(coco.info.run_id, "metrics")] == ["metrics/coco.json"]
    assert (layout.root / "mlartifacts").is_dir()
    assert pending_records(layout) == []


def test_experiment_has_a_table_of_scores(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    store.client.create_experiment("poseline")
    with open_stage("train", make_params(), layout):
        pass
    tags = store.client.get_experiment_by_name("poseline").tags
    assert "metrics.`coco.ap`" in json.loads(tags["mlflow.sharedViewState.poseline"])["selectedColumns"]
    assert tags["mlflow.experiment.primaryMetric.name"] == "coco.ap"


def test_other_parameters_are_another_row(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    for seed in (1, 2):
        with open_stage("train", make_params(seed), layout):
            pass
    assert len(store.parents()) == 2


def test_rerun_replaces_its_child(
    layout: Layout, store: Store, make_params: Callable[..., Params], score: Callable[..., Path]
) -> None:
    for ap in (0.25, 0.5):
        with open_stage("score@coco", make_params(), layout):
            score("coco", ap=ap)
    assert store.stage("score@coco").data.metrics == {"coco.ap": 0.5}
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]
    assert len(store.runs("tags.`dvc.stage` = 'score@coco'", archived=True)) == 2


def test_failure_marks_both_until_the_rerun(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("train", make_params(), layout):
        _ = 1 / 0
    with open_stage("score@coco", make_params(), layout):
        pass
    assert store.stage("train").info.status == "FAILED"
    assert [row.info.status for row in store.parents()] == ["FAILED"]
    with open_stage("train", make_params(), layout) as run:
        run.mirror()
        assert store.stage("train").info.status == "RUNNING"
        assert [row.info.status for row in store.parents()] == ["RUNNING"]
    assert [row.info.status for row in store.parents()] == ["FINISHED"]


@pytest.mark.parametrize("when", ["mirrored", "before"])
@pytest.mark.parametrize("by", ["stage", "sync"])
def test_kill_is_found_by_the_next_stage_and_by_sync(
    layout: Layout, store: Store, make_params: Callable[..., Params], when: str, by: str
) -> None:
    die(layout.root, make_params(), when)
    assert [run.info.status for run in store.runs("tags.`dvc.stage` = 'train'")] == (["RUNNING"] if when == "mirrored" else [])
    if by == "sync":
        assert sync(make_params(), layout).sent == 1
    else:
        with open_stage("mini", make_params(), layout):
            pass
    train = store.stage("train")
    assert train.info.status == "KILLED"
    assert store.steps(train, "train.loss") == ([1, 2] if when == "mirrored" else [1])
    assert [row.info.status for row in store.parents()] == ["KILLED"]
    with open_stage("train", make_params(), layout):
        pass
    statuses = [run.info.status for run in store.runs("tags.`dvc.stage` = 'train'", archived=True)]
    assert sorted(statuses) == ["FINISHED", "KILLED"]
    assert store.stage("train").info.status == "FINISHED"


def test_interruption_is_a_kill(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(KeyboardInterrupt), open_stage("train", make_params(), layout):
        raise KeyboardInterrupt
    assert store.stage("train").info.status == "KILLED"


def test_a_running_attempt_is_neither_archived_nor_ended_by_another(
    layout: Layout, store: Store, make_params: Callable[..., Params]
) -> None:
    with open_stage("train", make_params(), layout) as first:
        first.log_metrics({"train.loss": 1.0}, step=1)
        first.mirror()
        with open_stage("train", make_params(), layout) as second:
            second.log_metrics({"train.loss": 2.0}, step=1)
        assert sorted(run.info.status for run in store.runs("tags.`dvc.stage` = 'train'")) == ["FINISHED", "RUNNING"]
        assert sync(make_params(), layout).running == 1
        first.log_metrics({"train.loss": 0.5}, step=2)
    runs = store.runs("tags.`dvc.stage` = 'train'", archived=True)
    assert [(run.info.status, store.steps(run, "train.loss")) for run in runs] == [("FINISHED", [1, 2]), ("FINISHED", [1])]
    assert len(store.parents()) == 1


def test_history_is_mirrored_while_the_stage_runs(
    layout: Layout, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the background, once an interval; a NaN and more points than a batch holds arrive as they are."""
    monkeypatch.setattr(sender, "INTERVAL_S", 0.2)
    with open_stage("train", make_params(), layout) as run:
        for step in range(1100):
            run.log_metrics({"train.loss": float("nan") if step == 1099 else 1.0}, step)
        deadline = time.monotonic() + 60
        while not store.runs("tags.`dvc.stage` = 'train'") or len(store.steps(store.stage("train"), "train.loss")) < 1100:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert store.stage("train").info.status == "RUNNING"
    assert store.steps(store.stage("train"), "train.loss") == list(range(1100))


def test_processes_of_one_training_write_one_run(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with open_stage("train", make_params(), layout) as run:
        StageRun(run.folder).log_metrics({"train.loss": 1.0}, step=1)  # as the first process under torchrun does
        run.result["train.epochs"] = 1.0
    assert store.steps(store.stage("train"), "train.loss") == [1]
    assert len(store.runs("tags.`dvc.stage` = 'train'", archived=True)) == 1


def test_refused_values_cost_a_warning_only(
    layout: Layout, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"train.loss": 1.0, "no such name!": 2.0}, step=1)
        run.mirror()
    [line] = capsys.readouterr().err.splitlines()
    assert "train: warning: the experiment store refused 1 of the values, the first: no such name!" in line
    assert store.stage("train").data.metrics == {"train.loss": 1.0}
    assert store.stage("train").info.status == "FINISHED"
    assert pending_records(layout) == []


@pytest.mark.parametrize("role", ["stage", "parent"])
def test_run_deleted_in_the_page_comes_back_once(
    layout: Layout,
    store: Store,
    make_params: Callable[..., Params],
    capsys: pytest.CaptureFixture[str],
    score: Callable[..., Path],
    role: str,
) -> None:
    with open_stage("score@coco", make_params(), layout) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        run.mirror()
        [made] = store.runs(f"tags.`poseline.role` = '{role}'")
        store.client.delete_run(made.info.run_id)
        run.log_metrics({"loss": 0.5}, step=2)
        run.mirror()
        score("coco", ap=0.5)
    stage = store.stage("score@coco")
    assert (stage.info.status, store.steps(stage, "loss")) == ("FINISHED", [1, 2])
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]
    assert capsys.readouterr().err == ""
    assert len(store.runs(archived=True)) == 2


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("roles", [("stage",), ("parent",), ("stage", "parent")])
def test_training_whose_run_is_deleted_ends_in_one_run_without_a_word(
    layout: Layout,
    store: Store,
    make_params: Callable[..., Params],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    roles: tuple[str, ...],
    for_good: bool,
) -> None:
    """Between two flushes: the upload of the model, too, would meet a run that is not there, at every later stage again."""

    def export(source: Path, target: Path) -> None:
        from mlflow.models import Model

        target.mkdir()
        Model().save(str(target / "MLmodel"))

    monkeypatch.setattr(run_module, "export_model", export)
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"train.loss": 1.0}, step=1)
        run.mirror()
        for role in roles:
            [made] = store.runs(f"tags.`poseline.role` = '{role}'")
            store.client.delete_run(made.info.run_id)
            if for_good:
                store.client._tracking_client.store._hard_delete_run(made.info.run_id)
        run.log_metrics({"train.loss": 0.5}, step=2)
        layout.model.mkdir(parents=True)
        (layout.model / "model.safetensors").write_bytes(b"weights")
    for _ in range(2):
        with open_stage("mini", make_params(), layout):
            pass
    assert capsys.readouterr().err == ""
    train, [parent] = store.stage("train"), store.parents()
    assert (train.info.status, store.steps(train, "train.loss")) == ("FINISHED", [1, 2])
    assert train.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert len(train.outputs.model_outputs) == 1
    assert pending_records(layout) == []


def test_another_store_gets_all_of_a_record_that_waits(
    layout: Layout, make_params: Callable[..., Params], open_store: Callable[[str], Store], empty_store: Path
) -> None:
    """What one store has of a record says nothing of another."""
    other = f"sqlite:///{layout.root / 'other.db'}"
    shutil.copy(empty_store, layout.root / "other.db")
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"train.loss": 1.0}, step=1)
        run.mirror()
        run.log_metrics({"train.loss": 0.5}, step=2)
        [folder] = pending_records(layout)
        half_sent = (folder.path / PENDING).read_text()
    assert json.loads(half_sent)["run_id"]
    (folder.path / PENDING).write_text(half_sent)  # as if the end had not arrived
    assert sync(make_params(uri=other), layout).sent == 1
    train = open_store(other).stage("train")
    assert (open_store(other).steps(train, "train.loss"), train.info.status) == ([1, 2], "FINISHED")


def test_system_metrics(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with open_stage("train", make_params(system_metrics=True), layout):
        pass
    assert "system/cpu_utilization_percentage" in store.stage("train").data.metrics


def test_data_sets_carry_dvc_digests(
    layout: Layout, store: Store, make_params: Callable[..., Params], score: Callable[..., Path]
) -> None:
    digest = "0123456789abcdef0123456789abcdef.dir"
    (layout.root / "dvc.lock").write_text(f"stages: {{preprocess: {{cmd: x, outs: [{{path: data/processed, md5: {digest}}}]}}}}\n")
    for stage in ("train", "score@coco"):
        with open_stage(stage, make_params(), layout):
            score("coco", ap=0.5)
    for stage, context in (("train", "training"), ("score@coco", "evaluation")):
        inputs = store.stage(stage).inputs.dataset_inputs
        assert {item.dataset.name: item.dataset.digest for item in inputs} == {"data/processed": digest}
        assert {tag.value for item in inputs for tag in item.tags} == {context}
    assert store.stage("train").data.tags["poseline.data_hash"]


def test_report_is_kept_with_the_execution(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with open_stage("report", make_params(), layout):
        for name in ("index.html", "model_card.md"):
            layout.page.parent.mkdir(parents=True, exist_ok=True)
            layout.page.with_name(name).write_text("text")
    [parent] = store.parents()
    assert {file.path for file in store.client.list_artifacts(parent.info.run_id)} == {"index.html", "model_card.md"}


def test_off_means_nothing_is_written(tmp_path: Path, make_params: Callable[..., Params]) -> None:
    params = make_params().model_copy(update={"mlflow": make_params().mlflow.model_copy(update={"enabled": False})})
    with open_stage("train", params, Layout(tmp_path)) as run:
        run.log_metrics({"loss": 1.0})
        run.mirror()
    assert list(tmp_path.iterdir()) == []


def test_record_outlives_the_tree_of_an_experiment(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, tmp_path: Path, score: Callable[..., Path]
) -> None:
    """A queued experiment works in a temporary tree, gone when the store is back: its files are in the main checkout's record."""
    tree = tmp_path / "tree"
    shutil.copytree(layout.root, tree, ignore=shutil.ignore_patterns(".cache", "mlflow.db"))
    away = Layout(tree, layout.root)
    with open_stage("score@coco", make_params(uri=dead_uri), away):
        away.metrics.mkdir(parents=True)
        (away.metrics / "coco.json").write_text('{"ap": 0.5}')
        (away.per_person / "coco").mkdir(parents=True)
        (away.per_person / "coco/matches.parquet").write_bytes(b"table")
    shutil.rmtree(tree)
    assert sync(make_params(), layout).sent == 1
    run_id = store.stage("score@coco").info.run_id
    kept = [file.path for folder in ("metrics", "per_person/coco") for file in store.client.list_artifacts(run_id, folder)]
    assert kept == ["metrics/coco.json", "per_person/coco/matches.parquet"]
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]


def test_points_are_read_from_an_offset_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path)
    folder.append(HISTORY, {"loss": 1.0}, 1)
    first, offset = folder.read_points(HISTORY, 0)
    folder.append(HISTORY, {"loss": float("inf")}, 2)
    with (tmp_path / HISTORY).open("a") as handle:
        handle.write('{"time_ms": 1, "st')
    second, end = folder.read_points(HISTORY, offset)
    assert [point.step for point in (*first, *second)] == [1, 2]
    assert second[0].values == {"loss": float("inf")}
    assert folder.read_points(HISTORY, end) == ([], end)
