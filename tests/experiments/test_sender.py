"""The process that writes into the store: one serves many stages, none of which waits for a slow store; killed, it loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import psutil
import pytest

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.experiments import open_stage, pending_records, sender

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

SPAWN = sender.spawn


@pytest.fixture
def processes(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[psutil.Process]]]:
    """Senders are processes, as for a user; those of the project."""
    monkeypatch.setattr(sender, "spawn", SPAWN)

    def find() -> list[psutil.Process]:
        found = []
        for child in psutil.Process().children():
            if child.status() != psutil.STATUS_ZOMBIE and child.cwd() == str(layout.root):
                found.append(child)
        return found

    yield find
    for child in find():
        child.kill()


@pytest.fixture
def sick_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that says it is well, and answers nothing else within so many seconds."""
    ended = threading.Event()

    class Sick(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/health":
                ended.wait(request.param)
            self.send_response(500 if self.path != "/health" else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sick)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    ended.set()
    server.shutdown()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stage_does_not_wait_and_one_process_serves_the_next(
    layout: Layout, store: Store, make_params: Callable[..., Params], processes: Callable[[], list[psutil.Process]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    params = make_params(wait_s=0.0)
    with open_stage("train", params, layout) as run:
        run.log_metrics({"train.loss": 1.0}, step=1)
    assert store.runs() == [], "MLflow cannot be there yet"
    [first] = processes()
    with open_stage("score@coco", params, layout):
        pass
    until(lambda: pending_records(layout) == [])
    with open_stage("score@mpii", params, layout):
        pass
    until(lambda: pending_records(layout) == [])
    assert processes() == [first]
    assert store.steps(store.stage("train"), "train.loss") == [1]
    assert [row.info.status for row in store.parents()] == ["FINISHED"]
    assert capsys.readouterr().err == ""


def test_a_sender_that_is_killed_is_replaced_and_nothing_is_lost_or_doubled(
    layout: Layout, store: Store, make_params: Callable[..., Params], processes: Callable[[], list[psutil.Process]]
) -> None:
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"train.loss": 1.0}, step=1)
        run.mirror()
        [first] = processes()
        first.kill()
        first.wait(timeout=10)
        run.log_metrics({"train.loss": 0.5}, step=2)
    assert [process.pid for process in processes()] != [first.pid]
    assert store.steps(store.stage("train"), "train.loss") == [1, 2]
    assert store.stage("train").info.status == "FINISHED"
    assert len(store.runs(archived=True)) == 2


def test_whoever_reads_the_output_of_a_stage_does_not_wait_for_the_sender(
    layout: Layout, make_params: Callable[..., Params], processes: Callable[[], list[psutil.Process]]
) -> None:
    program = (
        "import sys; from pathlib import Path; from poseline.artifacts import Layout; from poseline.config import parse_params\n"
        "from poseline.experiments import open_stage\n"
        "with open_stage('mini', parse_params(eval(sys.argv[2]), source='test'), Layout(Path(sys.argv[1]))): print('done')"
    )
    raw = {"data": make_params().model_dump(mode="json")["data"], "mlflow": {"wait_s": 0.0}}
    done = subprocess.run(
        [sys.executable, "-c", program, str(layout.root), repr(raw)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    senders = [process for process in psutil.process_iter(["cwd", "cmdline"]) if process.info["cwd"] == str(layout.root)]
    assert [process.info["cmdline"][-2] for process in senders] == ["poseline.experiments.sender"]
    until(lambda: pending_records(layout) == [])
    os.kill(senders[0].pid, signal.SIGKILL)


@pytest.mark.parametrize("sick_uri", [0, 60], indirect=True)
def test_a_server_that_says_it_is_well_and_fails(
    layout: Layout, make_params: Callable[..., Params], sick_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage waits for no answer; what has turned out by the end of one it says, else the next does."""
    started = time.monotonic()
    with open_stage("train", make_params(uri=sick_uri, wait_s=0.5), layout) as run:
        run.log_metrics({"loss": 1.0}, step=1)
    assert time.monotonic() - started < 5.0
    post = sender.Post.of(sender.Order(config=make_params(uri=sick_uri).mlflow, root=layout.root))
    until(lambda: post.read_fault() is not None)
    with open_stage("report", make_params(uri=sick_uri, wait_s=0.0), layout):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 2
    assert "report: warning: no experiment store (" in lines[-1]
    assert "poseline sync" in lines[-1]
    assert len(pending_records(layout)) == 2


def test_a_sender_that_cannot_be_started_stops_no_stage(
    layout: Layout, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(order: sender.Order, lock: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(sender, "spawn", fail)
    with open_stage("train", make_params(), layout) as run:
        run.log_metrics({"train.loss": 1.0}, step=1)
    [line] = capsys.readouterr().err.splitlines()
    assert "train: warning: not tracked: [Errno 11]" in line
    [folder] = pending_records(layout)
    assert folder.read().status == "FINISHED"


def test_stores_and_experiments_are_served_apart(
    layout: Layout, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(uri: str | None) -> sender.Post:
        return sender.Post.of(sender.Order(config=make_params(uri=uri).mlflow, root=layout.root))

    one, other = post("http://ann:secret@one"), post("http://two")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    third = post("http://two")
    assert len({file.file("lock") for file in (one, other, third)}) == 3
    assert "secret" not in one.address
    lock, free = one.take(), other.take()
    assert lock is not None
    assert free is not None
    assert one.take() is None
    os.close(lock)
    os.close(free)
    again = one.take()
    assert again is not None
    os.close(again)


def test_the_experiment_may_be_named_in_the_environment(
    layout: Layout, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of-the-team")
    with open_stage("train", make_params(), layout):
        pass
    experiment = store.client.get_experiment_by_name("of-the-team")
    assert [run.info.experiment_id for run in store.runs("tags.`dvc.stage` = 'train'")] == [experiment.experiment_id]
