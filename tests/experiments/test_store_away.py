"""The store is away: the work goes on, and nothing is lost or doubled when it is back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.config import Params, dump_section
from poseline.errors import BackendError
from poseline.experiments import open_stage, sync
from poseline.experiments.spool import EVENTS, list_spools

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

DIES_IN_REPLAY = """
import json, os, sys
from pathlib import Path
from poseline.config import parse_params
from poseline.experiments import sync
from poseline.experiments.ledger import Ledger
apply, left = Ledger.apply, [int(sys.argv[3])]
def count_down(self, event, runs):
    apply(self, event, runs)
    left[0] -= 1
    if left[0] == 0:
        os._exit(9)
Ledger.apply = count_down
sync(parse_params(json.loads(sys.argv[2]), source="test"), Path(sys.argv[1]))
"""


def log_offline(project: Path, params: Params, name: str = "train") -> None:
    """A stage that logs one of each kind while nothing listens."""
    figure = project / "figure.txt"
    figure.write_text("a curve\n")
    with open_stage(name, params, root=project) as run:
        run.log_params({"note": "offline"})
        run.log_metrics({"loss": 0.5}, step=0)
        run.log_metrics({"loss": float("nan")}, step=1)
        run.log_artifact(figure, "figures")
        run.log_headline({"coco.ap": 0.5})
    figure.unlink()


def test_dead_server_is_named_once_and_costs_little(
    project: Path, make_params: Callable[..., Params], dead_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    log_offline(project, make_params(uri=dead_uri))
    assert time.monotonic() - started < 5.0
    [line] = capsys.readouterr().err.splitlines()
    assert f"train: warning: no experiment store ({dead_uri}: no answer" in line
    assert "poseline sync" in line
    with pytest.raises(BackendError, match="The log waits in"):
        sync(make_params(uri=dead_uri), project)
    assert len(list_spools(project)) == 1


def test_sync_replays_once(project: Path, store: Store, make_params: Callable[..., Params], dead_uri: str) -> None:
    log_offline(project, make_params(uri=dead_uri))
    assert sync(make_params(), project).replayed == 1
    train = store.stage("train")
    assert store.steps(train, "loss") == [0, 1]
    assert train.data.params["note"] == "offline"
    assert [file.path for file in store.client.list_artifacts(train.info.run_id, "figures")] == ["figures/figure.txt"]
    assert (train.info.status, train.data.metrics["coco.ap"]) == ("FINISHED", 0.5)
    assert [(row.info.status, row.data.metrics) for row in store.parents()] == [("FINISHED", {"coco.ap": 0.5})]
    rows = store.num_rows()
    assert sync(make_params(), project).replayed == 0
    assert store.num_rows() == rows
    assert list((project / ".cache/mlflow-spool").iterdir()) == []


@pytest.mark.parametrize("events", [1, 4])
def test_kill_in_replay_loses_and_doubles_nothing(
    project: Path, store: Store, make_params: Callable[..., Params], dead_uri: str, events: int
) -> None:
    log_offline(project, make_params(uri=dead_uri))
    words = [sys.executable, "-c", DIES_IN_REPLAY, str(project), json.dumps(dump_section(make_params())), str(events)]
    assert subprocess.run(words, timeout=60, check=False).returncode == 9
    assert sync(make_params(), project).replayed == 1
    assert store.num_rows() == 2 + 2 + 2, "two runs, the loss at two steps, the headline on both"
    assert store.steps(store.stage("train"), "loss") == [0, 1]


def test_killed_writer_ends_killed_and_a_torn_line_is_left_out(
    project: Path, store: Store, make_params: Callable[..., Params], dead_uri: str
) -> None:
    log_offline(project, make_params(uri=dead_uri))
    [folder] = list_spools(project)
    *lines, _ = (folder / EVENTS).read_text().splitlines()
    (folder / EVENTS).write_text("\n".join([*lines, '{"kind":"metrics","rows":[{"key":"lo']))
    assert sync(make_params(), project).replayed == 1
    train = store.stage("train")
    assert train.info.status == "KILLED"
    assert train.data.metrics["coco.ap"] == 0.5


def test_spool_of_a_live_stage_is_left_alone(project: Path, store: Store, make_params: Callable[..., Params], dead_uri: str) -> None:
    with open_stage("train", make_params(uri=dead_uri), root=project) as run:
        run.log_headline({"coco.ap": 0.5})
        run.flush()
        assert sync(make_params(), project).in_use == 1
    assert store.runs() == []
    assert sync(make_params(), project).replayed == 1


def test_later_attempt_stays_in_front_of_a_spooled_one(
    project: Path, store: Store, make_params: Callable[..., Params], dead_uri: str
) -> None:
    log_offline(project, make_params(uri=dead_uri))
    with open_stage("train", make_params(), root=project) as run:
        run.log_headline({"coco.ap": 0.75})
    assert sync(make_params(), project).replayed == 1
    assert store.stage("train").data.metrics["coco.ap"] == 0.75
    assert len(store.runs("tags.`dvc.stage` = 'train'", archived=True)) == 2
    assert [row.data.metrics["coco.ap"] for row in store.parents()] == [0.75]


def test_refused_events_are_set_aside(project: Path, make_params: Callable[..., Params], dead_uri: str) -> None:
    with open_stage("train", make_params(uri=dead_uri), root=project) as run:
        run.log_params({"seed": "another"})
        run.log_headline({"coco.ap": 0.5})
    assert sync(make_params(), project).refused == 1
    assert json.loads((project / ".cache/mlflow-spool/refused.jsonl").read_text())["values"] == {"seed": "another"}
    assert sync(make_params(), project).replayed == 0


def test_broken_store_and_full_spool_cost_only_warnings(
    project: Path, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mlflow.db").write_text("rubbish " * 1000)
    (project / ".cache/mlflow-store.json").unlink()
    (project / ".cache/mlflow-spool").write_text("a file where the folder should be")
    with open_stage("train", make_params(), root=project) as run:
        run.log_headline({"coco.ap": 0.5})
    lost, unwritable = capsys.readouterr().err.splitlines()
    assert "cannot be used as experiment store" in lost
    assert "cannot be written" in unwritable


@contextmanager
def serve(project: Path, uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real server on the project's database, up when the block begins."""
    port = uri.rpartition(":")[2]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}", "--artifacts-destination", str(project / "served")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (project / ".cache/server.log").open("ab")
    server = subprocess.Popen(words, stdout=log, stderr=log, cwd=project, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _answers(uri):
            assert server.poll() is None, (project / ".cache/server.log").read_text()
            assert time.monotonic() < deadline, "the server did not come up in 60 s"
            time.sleep(0.2)
        yield server
    finally:
        os.killpg(server.pid, 9)
        server.wait(timeout=10)
        log.close()


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=1):
            return True
    except OSError:
        return False


def test_server_dies_in_the_middle_and_comes_back(
    project: Path,
    store: Store,
    open_store: Callable[[str], Store],
    make_params: Callable[..., Params],
    dead_uri: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    params = make_params(uri=dead_uri)
    figure = project / "figure.txt"
    figure.write_text("a curve\n")
    with serve(project, dead_uri):
        stage = open_stage("train", params, root=project)
        run = stage.__enter__()
        run.log_metrics({"loss": 1.0}, step=0)
        run.flush()
        run.log_artifact(figure, "figures")
        served = open_store(dead_uri)
        files = served.client.list_artifacts(served.stage("train").info.run_id, "figures")
    started = time.monotonic()
    run.log_metrics({"loss": 0.5}, step=1)
    run.flush()
    run.log_headline({"coco.ap": 0.5})
    stage.__exit__(None, None, None)
    assert time.monotonic() - started < 15.0
    [line] = capsys.readouterr().err.splitlines()
    assert "no experiment store" in line
    assert [file.path for file in files] == ["figures/figure.txt"]
    assert (project / "served").is_dir()
    assert store.stage("train").info.status == "RUNNING"
    assert sync(make_params(), project).replayed == 1
    train = store.stage("train")
    assert store.steps(train, "loss") == [0, 1]
    assert train.info.status == "FINISHED"
    assert [row.data.metrics for row in store.parents()] == [{"coco.ap": 0.5}]
