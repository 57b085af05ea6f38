"""Attempts on several machines: one row, the record of each its own; a machine that falls silent is taken to be gone."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.experiments import identify, open_stage, sync
from poseline.experiments.mirror import Mirror
from poseline.experiments.record import SILENT_MS, RecordFolder, now_ms
from poseline.experiments.store import store_address

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

LONG_AGO = now_ms() - SILENT_MS - 60_000


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Stand on another machine; None: on this one again."""
    here = socket.gethostname()
    return lambda name: monkeypatch.setattr("poseline.experiments.record.socket.gethostname", lambda: name or here)


def begin(layout: Layout, params: Params) -> tuple[Mirror, RecordFolder]:
    """A stage at work, as the store shows it."""
    folder = RecordFolder.create(layout, "train", identify(params, layout.root), store=store_address(params.mlflow))
    mirror = Mirror.open(params.mlflow, layout)
    mirror.send(folder)
    return mirror, folder


def statuses(store: Store) -> list[str]:
    """Of the train stage and its row."""
    return [store.stage("train").info.status, *(row.info.status for row in store.parents())]


def test_two_machines_at_one_experiment_are_one_row_with_an_attempt_each(
    layout: Layout, store: Store, make_params: Callable[..., Params], score: Callable[..., Path], elsewhere: Callable[[str | None], None]
) -> None:
    for host, ap in (("one", 0.25), ("two", 0.5), ("two", 0.75)):
        elsewhere(host)
        with open_stage("score@coco", make_params(), layout):
            score("coco", ap=ap)
    runs = store.runs("tags.`dvc.stage` = 'score@coco'")
    assert [(run.data.tags["poseline.host"], run.data.metrics["coco.ap"]) for run in runs] == [("one", 0.25), ("two", 0.75)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.data.tags["mlflow.user"] and "mlflow.source.name" in run.data.tags for run in runs)
    [row] = store.parents()
    assert row.data.metrics == {"coco.ap": 0.75}
    everything = store.num_rows()
    assert sync(make_params(), layout).restored == ()
    assert store.num_rows() == everything


@pytest.mark.parametrize("by", ["stage", "sync"])
def test_a_machine_that_falls_silent(
    layout: Layout, store: Store, make_params: Callable[..., Params], elsewhere: Callable[[str | None], None], by: str
) -> None:
    def look() -> None:
        if by == "sync":
            sync(make_params(seed=2), layout)
        else:
            with open_stage("mini", make_params(seed=2), layout):
                pass

    elsewhere("other")
    begin(layout, make_params())
    elsewhere(None)
    shutil.rmtree(layout.cache / "runs")  # it lies on the other machine's disk
    look()
    row, *_ = store.parents()
    assert statuses(store)[:2] == ["RUNNING", "RUNNING"]
    store.client.set_tag(store.stage("train").info.run_id, "poseline.seen", str(LONG_AGO))
    look()
    assert store.stage("train").info.status == store.client.get_run(row.info.run_id).info.status == "KILLED"
    assert store.stage("train").info.end_time == LONG_AGO


def test_a_machine_that_slept_and_wakes(
    layout: Layout, store: Store, make_params: Callable[..., Params], elsewhere: Callable[[str | None], None]
) -> None:
    elsewhere("other")
    mirror, folder = begin(layout, make_params())
    store.client.set_tag(store.stage("train").info.run_id, "poseline.seen", str(LONG_AGO))
    elsewhere(None)
    mirror.catch_up()
    assert statuses(store) == ["KILLED", "KILLED"]
    elsewhere("other")
    mirror.send(folder)
    assert statuses(store) == ["RUNNING", "RUNNING"]
    assert int(store.stage("train").data.tags["poseline.seen"]) > LONG_AGO


def test_a_record_of_another_machine_on_this_disk(
    layout: Layout, store: Store, make_params: Callable[..., Params], elsewhere: Callable[[str | None], None]
) -> None:
    """As in a folder that machines share, or a container that comes back under another name."""
    elsewhere("other")
    _, folder = begin(layout, make_params())
    elsewhere(None)
    assert (sync(make_params(), layout).running, statuses(store)) == (1, ["RUNNING", "RUNNING"])
    os.utime(folder.path / "run.json", (LONG_AGO / 1000, LONG_AGO / 1000))
    assert (sync(make_params(), layout).running, statuses(store)) == (0, ["KILLED", "KILLED"])
    assert store.stage("train").info.end_time == pytest.approx(LONG_AGO, abs=1)
