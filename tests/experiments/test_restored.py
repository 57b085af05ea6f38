"""Results that DVC restored without running a stage, and results that a run already wrote."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from poseline.config import Params
from poseline.experiments import open_stage, sync

if TYPE_CHECKING:
    from tests.experiments.conftest import Store


def restore(project: Path, coco_ap: float = 0.5, seed: int = 1) -> None:
    """A workspace as DVC leaves it after restoring train and score@coco from its run cache."""
    metrics, model = project / "reports/metrics", project / "data/model"
    metrics.mkdir(parents=True, exist_ok=True)
    model.mkdir(parents=True, exist_ok=True)
    (metrics / "coco.json").write_text(json.dumps({"ap": coco_ap, "per_keypoint": {"nose": 0.75}, "protocol": {"flip": True}}))
    rows = [{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": 0.5, "val_ap": coco_ap}]
    (model / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "params.yaml").write_text(f"seed: {seed}\n")
    (project / "dvc.yaml").write_text("stages: {train: {cmd: x}, score: {foreach: [coco], do: {cmd: x}}}\n")
    digest = hashlib.md5((metrics / "coco.json").read_bytes()).hexdigest()
    stages = {
        "train": {"cmd": "x", "params": {"params.yaml": {"seed": seed}}, "outs": [{"path": "data/model", "md5": "ab.dir"}]},
        "score@coco": {"cmd": "x", "outs": [{"path": "reports/metrics/coco.json", "md5": digest}]},
        "removed": {"cmd": "x", "params": {"params.yaml": {"seed": 99}}},
    }
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def test_restored_results_become_a_row_once(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    restore(project)
    assert sync(make_params(), project).mirrored == ("train", "score@coco")
    [parent] = store.parents()
    assert parent.data.metrics == {"coco.ap": 0.5}
    assert parent.info.status == "FINISHED"
    train, score = store.stage("train"), store.stage("score@coco")
    assert train.data.tags["poseline.mirrored"] == "true"
    assert store.steps(train, "loss") == [0, 1]
    assert store.steps(train, "val_ap") == [1]
    assert score.data.metrics == {"coco.ap": 0.5, "coco.per_keypoint.nose": 0.75}
    rows = store.num_rows()
    assert sync(make_params(), project).mirrored == ()
    assert store.num_rows() == rows


def test_what_a_run_wrote_is_not_written_again(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    restore(project)
    with open_stage("train", make_params(), root=project) as run:
        run.log_metrics({"loss": 0.5})
    with open_stage("score@coco", make_params(), root=project) as run:
        run.log_report(project / "reports/metrics/coco.json")
    rows = store.num_rows()
    assert sync(make_params(), project).mirrored == ()
    assert store.num_rows() == rows


def test_stage_restored_beside_one_that_ran(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    restore(project)
    with open_stage("score@coco", make_params(), root=project) as run:
        run.log_report(project / "reports/metrics/coco.json")
    assert sync(make_params(), project).mirrored == ("train",)
    assert len(store.parents()) == 1
    assert "poseline.mirrored" not in store.stage("score@coco").data.tags


def test_named_experiment_and_a_later_commit_are_the_same_row(
    project: Path, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(project)
    with monkeypatch.context() as in_experiment:
        in_experiment.setenv("DVC_EXP_NAME", "bold-idea")
        for stage in ("train", "score@coco"):
            with open_stage(stage, make_params(), root=project) as run:
                if stage != "train":
                    run.log_report(project / "reports/metrics/coco.json")
    assert sync(make_params(), project).mirrored == ()
    for words in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "results"]):
        subprocess.run(["git", "-C", str(project), *words], check=True)
    assert sync(make_params(), project).mirrored == ()
    assert [row.info.run_name for row in store.parents()] == ["bold-idea"]


def test_other_results_under_the_same_key_come_to_the_front(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    for ap in (0.5, 0.25):
        restore(project, ap)
        sync(make_params(), project)
    assert [row.data.metrics["coco.ap"] for row in store.parents()] == [0.25]
    assert store.stage("score@coco").data.metrics["coco.ap"] == 0.25


def test_failed_attempt_that_dvc_could_restore(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("train", make_params(), root=project):
        _ = 1 / 0
    restore(project)
    assert sync(make_params(), project).mirrored == ("train", "score@coco")
    assert [row.info.status for row in store.parents()] == ["FINISHED"]


@pytest.mark.parametrize("change", ["params", "report"])
def test_results_of_other_parameters_are_refused(project: Path, store: Store, make_params: Callable[..., Params], change: str) -> None:
    restore(project)
    if change == "params":
        (project / "params.yaml").write_text("seed: 2\n")
    else:
        (project / "reports/metrics/coco.json").write_text('{"ap": 0.99}')
    report = sync(make_params(2), project)
    assert report.out_of_date == (("train",) if change == "params" else ("score@coco",))
    assert store.runs() == []


def test_nothing_to_mirror(project: Path, store: Store, make_params: Callable[..., Params]) -> None:
    assert sync(make_params(), project).mirrored == ()
    assert store.runs() == []
