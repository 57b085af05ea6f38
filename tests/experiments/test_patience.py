"""A store that lives and is slow, or stops answering: what a stage waits for it is limited, in all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.experiments import open_stage, pending_records
from poseline.experiments.patience import LIMIT_S, Patience, StoreLostError
from poseline.experiments.store import LEAST_PATIENCE, SHORT_PATIENCE, set_waits


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


@pytest.mark.parametrize("sick_uri", [0, 60], indirect=True)
def test_a_server_that_says_it_is_well_and_fails(
    layout: Layout, make_params: Callable[..., Params], sick_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with open_stage("train", make_params(uri=sick_uri), layout) as run:
        run.log_metrics({"loss": 1.0}, step=1)
    assert time.monotonic() - started < 5.0
    [line] = capsys.readouterr().err.splitlines()
    assert "train: warning: no experiment store (" in line
    assert len(pending_records(layout)) == 1


def test_slow_requests_count_and_quick_ones_do_not() -> None:
    patience = Patience(1.0)
    patience.store = "http://host"
    quick, slow = patience.timed(lambda: time.sleep(0.01)), patience.timed(lambda: time.sleep(0.55))
    for _ in range(60):
        quick()
    slow()
    slow()
    for request in (slow, quick):
        with pytest.raises(StoreLostError, match="http://host: answers too slowly"):
            request()


def test_waiting_in_the_background_does_not_count() -> None:
    patience = Patience()
    request = patience.timed(lambda: time.sleep(0.5))
    thread = threading.Thread(target=request)
    thread.start()
    thread.join()
    assert patience.left_s == LIMIT_S


def test_a_request_within_a_request_counts_once() -> None:
    patience = Patience(10.0)
    patience.timed(lambda: patience.timed(lambda: time.sleep(0.5))())()
    assert 9.0 < patience.left_s < 9.6


def test_how_long_the_user_wants_to_wait_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.delenv(name, raising=False)
    set_waits(SHORT_PATIENCE)
    set_waits(LEAST_PATIENCE)
    assert os.environ[name] == LEAST_PATIENCE[name]
    set_waits(SHORT_PATIENCE)
    assert os.environ[name] == SHORT_PATIENCE[name]
    monkeypatch.setenv(name, "120")
    set_waits(LEAST_PATIENCE)
    assert os.environ[name] == "120"
