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

from poseline.artifacts import Layout
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
    rows = [{"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0, "loss": 0.5, "val_ap": coco_ap}]
    (model / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "params.yaml").write_text(f"seed: {seed}\n")
    (project / "dvc.yaml").write_text("stages: {train: {cmd: x}, score: {foreach: [coco], do: {cmd: x}}}\n")
    digest = hashlib.md5((metrics / "coco.json").read_bytes()).hexdigest()
    stages = {
        "train": {"cmd": "x", "params": {"params.yaml": {"seed": seed}}, "outs": [{"path": "data/model", "md5": "ab.dir"}]},
        "score@coco": {"cmd": "x", "outs": [{"path": "reports/metrics/coco.json", "md5": digest}]},
        **{name: {"cmd": "x", "params": {"params.yaml": {"seed": 99}}} for name in ("removed", "score", "score@removed")},
    }
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def test_restored_results_become_a_row_once(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    restore(layout.root)
    assert sync(make_params(), layout).restored == ("train", "score@coco")
    [parent] = store.parents()
    assert parent.data.metrics == {"coco.ap": 0.5}
    assert parent.info.status == "FINISHED"
    train, score = store.stage("train"), store.stage("score@coco")
    assert train.data.tags["poseline.mirrored"] == "true"
    assert store.steps(train, "train.loss") == [1, 2]
    assert store.steps(train, "train.val_ap") == [2]
    assert score.data.metrics == {"coco.ap": 0.5, "coco.per_keypoint.nose": 0.75}
    assert [file.path for file in store.client.list_artifacts(score.info.run_id, "metrics")] == ["metrics/coco.json"]
    rows = store.num_rows()
    assert sync(make_params(), layout).restored == ()
    assert store.num_rows() == rows


def test_a_row_deleted_in_the_page_is_written_once_more(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    restore(layout.root)
    sync(make_params(), layout)
    store.client.delete_run(store.parents()[0].info.run_id)
    assert sync(make_params(), layout).restored == ("train", "score@coco")
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]
    assert sync(make_params(), layout).restored == ()


def test_what_a_run_wrote_is_not_written_again(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    restore(layout.root)
    for stage in ("train", "score@coco"):
        with open_stage(stage, make_params(), layout):
            pass
    rows = store.num_rows()
    assert sync(make_params(), layout).restored == ()
    assert store.num_rows() == rows


def test_stage_restored_beside_one_that_ran(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    restore(layout.root)
    with open_stage("score@coco", make_params(), layout):
        pass
    assert sync(make_params(), layout).restored == ("train",)
    assert len(store.parents()) == 1
    assert "poseline.mirrored" not in store.stage("score@coco").data.tags


def test_named_experiment_and_a_later_commit_are_the_same_row(
    layout: Layout, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(layout.root)
    with monkeypatch.context() as in_experiment:
        in_experiment.setenv("DVC_EXP_NAME", "bold-idea")
        for stage in ("train", "score@coco"):
            with open_stage(stage, make_params(), layout):
                pass
    assert sync(make_params(), layout).restored == ()
    for words in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "results"]):
        subprocess.run(["git", "-C", str(layout.root), *words], check=True)
    assert sync(make_params(), layout).restored == ()
    assert [row.info.run_name for row in store.parents()] == ["bold-idea"]


def test_other_results_under_the_same_key_come_to_the_front(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    for ap in (0.5, 0.25, 0.5, 0.25):
        restore(layout.root, ap)
        sync(make_params(), layout)
    assert [row.data.metrics["coco.ap"] for row in store.parents()] == [0.25]
    assert store.stage("score@coco").data.metrics["coco.ap"] == 0.25


def test_failed_attempt_that_dvc_could_restore(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("train", make_params(), layout):
        _ = 1 / 0
    restore(layout.root)
    assert sync(make_params(), layout).restored == ("train", "score@coco")
    assert [row.info.status for row in store.parents()] == ["FINISHED"]


@pytest.mark.parametrize("change", ["params", "report"])
def test_results_of_other_parameters_are_refused(layout: Layout, store: Store, make_params: Callable[..., Params], change: str) -> None:
    restore(layout.root)
    if change == "params":
        (layout.root / "params.yaml").write_text("seed: 2\n")
    else:
        (layout.root / "reports/metrics/coco.json").write_text('{"ap": 0.99}')
    report = sync(make_params(2), layout)
    assert report.out_of_date == (("train",) if change == "params" else ("score@coco",))
    assert store.runs() == []


def test_nothing_to_mirror(layout: Layout, store: Store, make_params: Callable[..., Params]) -> None:
    assert sync(make_params(), layout).restored == ()
    assert store.runs() == []
