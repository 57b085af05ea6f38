"""The store is away: the work goes on, and nothing is lost or doubled when it is back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_servers import serve

from poseline.artifacts import Layout
from poseline.config import Params, dump_section
from poseline.errors import BackendError
from poseline.experiments import open_stage, pending_records, sender, sync
from poseline.experiments.record import MIRRORED, PENDING, RUN

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

DIES_IN_MIRROR = """
import json, os, sys
from pathlib import Path
from mlflow.tracking import MlflowClient
from poseline.artifacts import Layout
from poseline.config import parse_params
from poseline.experiments import sync
left = [int(sys.argv[3])]
def count_down(method):
    def call(*args, **kwargs):
        result = method(*args, **kwargs)
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)
        return result
    return call
for name in ("create_run", "log_batch", "log_artifacts", "set_terminated"):
    setattr(MlflowClient, name, count_down(getattr(MlflowClient, name)))
sync(parse_params(json.loads(sys.argv[2]), source="test"), Layout(Path(sys.argv[1])))
"""


@pytest.fixture
def log_offline(layout: Layout, score: Callable[..., Path]) -> Callable[[Params], None]:
    """A stage that keeps one of each kind while nothing listens; its files are gone afterwards."""

    def log(params: Params) -> None:
        with open_stage("score@coco", params, layout) as run:
            run.log_metrics({"loss": 0.5}, step=1)
            run.log_metrics({"loss": float("nan")}, step=2)
            path = score("coco", ap=0.5)
        path.unlink()

    return log


def check_whole(store: Store) -> None:
    """All that the offline stage kept is in the store, once."""
    run = store.stage("score@coco")
    assert store.steps(run, "loss") == [1, 2]
    assert [file.path for file in store.client.list_artifacts(run.info.run_id, "metrics")] == ["metrics/coco.json"]
    assert (run.info.status, run.data.metrics["coco.ap"]) == ("FINISHED", 0.5)
    assert [(row.info.status, row.data.metrics) for row in store.parents()] == [("FINISHED", {"coco.ap": 0.5})]
    assert store.num_rows() == 2 + 2 + 2, "two runs, the loss at two steps, the headline on both"


def test_dead_server_is_named_once_and_costs_little(
    layout: Layout, make_params: Callable[..., Params], dead_uri: str, capsys: pytest.CaptureFixture[str], log_offline
) -> None:
    started = time.monotonic()
    log_offline(make_params(uri=dead_uri))
    assert time.monotonic() - started < 5.0
    [line] = capsys.readouterr().err.splitlines()
    assert f"score@coco: warning: no experiment store ({dead_uri}: no answer" in line
    assert "poseline sync" in line
    with pytest.raises(BackendError, match="The records wait in"):
        sync(make_params(uri=dead_uri), layout)
    assert len(pending_records(layout)) == 1


def test_server_that_takes_connections_and_never_answers_costs_one_probe(
    layout: Layout, make_params: Callable[..., Params], log_offline, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        log_offline(make_params(uri=f"http://ann:secret@127.0.0.1:{silent.getsockname()[1]}"))
    assert time.monotonic() - started < 8.0
    [line] = capsys.readouterr().err.splitlines()
    assert "no answer" in line
    assert "secret" not in line


@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql"])
def test_database_that_is_down_is_found_at_once(
    layout: Layout, make_params: Callable[..., Params], log_offline, capsys: pytest.CaptureFixture[str], dead_uri: str, scheme: str
) -> None:
    started = time.monotonic()
    log_offline(make_params(uri=f"{scheme}://ann:secret@{dead_uri.removeprefix('http://')}/runs"))
    assert time.monotonic() - started < 5.0
    [line] = capsys.readouterr().err.splitlines()
    assert f"{scheme}://***@127.0.0.1" in line


def test_sync_catches_up_once(layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, log_offline) -> None:
    log_offline(make_params(uri=dead_uri))
    assert sync(make_params(), layout).sent == 1
    check_whole(store)
    assert sync(make_params(), layout).sent == 0
    check_whole(store)
    [folder] = (layout.cache / "runs").glob("*/*")
    assert {path.name for path in folder.iterdir()} == {RUN, MIRRORED, "metrics.jsonl", ".lock"}, "copies of files are not kept for ever"


def test_the_next_stage_catches_up(layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, log_offline) -> None:
    log_offline(make_params(uri=dead_uri))
    with open_stage("report", make_params(), layout):
        pass
    assert store.stage("score@coco").data.metrics["coco.ap"] == 0.5
    assert pending_records(layout) == []


@pytest.mark.parametrize("requests", range(1, 9))
def test_kill_in_a_mirror_loses_and_doubles_nothing(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, log_offline, requests: int
) -> None:
    log_offline(make_params(uri=dead_uri))
    words = [sys.executable, "-c", DIES_IN_MIRROR, str(layout.root), json.dumps(dump_section(make_params())), str(requests)]
    assert subprocess.run(words, timeout=120, check=False).returncode == 9
    sync(make_params(), layout)
    check_whole(store)
    assert pending_records(layout) == []


def test_two_mirrors_at_once_double_nothing(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, log_offline
) -> None:
    log_offline(make_params(uri=dead_uri))
    words = [sys.executable, "-c", DIES_IN_MIRROR, str(layout.root), json.dumps(dump_section(make_params())), "0"]
    racers = [subprocess.Popen(words) for _ in range(3)]
    assert [racer.wait(timeout=200) for racer in racers] == [0] * 3
    check_whole(store)


def test_later_attempt_stays_in_front_of_one_that_waited(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, log_offline, score: Callable[..., Path]
) -> None:
    log_offline(make_params(uri=dead_uri))
    [waiting] = pending_records(layout)
    (waiting.path / PENDING).rename(layout.root / "aside")
    with open_stage("score@coco", make_params(), layout):
        score("coco", ap=0.75)
    (layout.root / "aside").rename(waiting.path / PENDING)
    assert sync(make_params(), layout).sent == 1
    assert store.stage("score@coco").data.metrics["coco.ap"] == 0.75
    assert len(store.runs("tags.`dvc.stage` = 'score@coco'", archived=True)) == 2
    assert [row.data.metrics["coco.ap"] for row in store.parents()] == [0.75]


def test_broken_store_and_unwritable_records_cost_only_warnings(
    layout: Layout, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    (layout.root / "mlflow.db").write_text("rubbish " * 1000)
    (layout.cache / "mlflow-store.json").unlink()
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"loss": 0.5})
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be used as experiment store" in line
    assert len(pending_records(layout)) == 1
    (layout.cache / "runs").rename(layout.cache / "aside")
    (layout.cache / "runs").write_text("a file where the folder should be")
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"loss": 0.5})
    [line] = capsys.readouterr().err.splitlines()
    assert "train: warning: not tracked" in line


def test_record_of_another_version_is_named_and_stops_nothing(
    layout: Layout, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str], dead_uri: str, log_offline
) -> None:
    log_offline(make_params(uri=dead_uri))
    [folder] = pending_records(layout)
    (folder.path / RUN).write_text('{"version": 9}')
    capsys.readouterr()
    for _ in range(2):  # the first may end while the record is still to be read
        with open_stage("train", make_params(), layout):
            pass
    assert "not a run record of this version" in capsys.readouterr().err.splitlines()[-1]
    assert store.stage("train").info.status == "FINISHED"


def test_server_dies_in_the_middle_and_comes_back_for_sync(
    layout: Layout,
    store: Store,
    open_store: Callable[[str], Store],
    make_params: Callable[..., Params],
    dead_uri: str,
    capsys: pytest.CaptureFixture[str],
    score: Callable[..., Path],
) -> None:
    params = make_params(uri=dead_uri)
    with serve(layout.root, dead_uri):
        with open_stage("score@mpii", params, layout):
            score("mpii", pckh=0.5)
        stage = open_stage("score@coco", params, layout)
        run = stage.__enter__()
        run.log_metrics({"loss": 1.0}, step=1)
        run.mirror()
        served = open_store(dead_uri)
        files = served.client.list_artifacts(served.stage("score@mpii").info.run_id, "metrics")
    started = time.monotonic()
    run.log_metrics({"loss": 0.5}, step=2)
    run.mirror()
    score("coco", ap=0.5)
    stage.__exit__(None, None, None)
    assert time.monotonic() - started < 15.0
    [line] = capsys.readouterr().err.splitlines()
    assert "no experiment store" in line
    assert [file.path for file in files] == ["metrics/mpii.json"]
    assert (layout.root / "served").is_dir()
    assert store.stage("score@coco").info.status == "RUNNING"
    with serve(layout.root, dead_uri):
        assert sync(params, layout).sent == 1
    coco = store.stage("score@coco")
    assert store.steps(coco, "loss") == [1, 2]
    assert coco.info.status == "FINISHED"
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5, "mpii.pckh": 0.5}]


def test_server_killed_in_training_and_back_before_its_end(
    layout: Layout,
    store: Store,
    make_params: Callable[..., Params],
    dead_uri: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The running stage itself catches up: all points once, one line of warning."""
    monkeypatch.setattr(sender, "RETRY_S", 0.0)
    with serve(layout.root, dead_uri):
        stage = open_stage("train", make_params(uri=dead_uri), layout)
        run = stage.__enter__()
        run.log_metrics({"train.loss": 1.0}, step=1)
        run.mirror()
    run.log_metrics({"train.loss": 0.5}, step=2)
    run.mirror()
    run.mirror()
    with serve(layout.root, dead_uri):
        run.log_metrics({"train.loss": 0.25}, step=3)
        run.mirror()
        assert store.steps(store.stage("train"), "train.loss") == [1, 2, 3]
        assert store.stage("train").info.status == "RUNNING"
        stage.__exit__(None, None, None)
    assert store.stage("train").info.status == "FINISHED"
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert len(store.runs(archived=True)) == 2
