"""`poseline sync --watch`: rounds until a signal, which lets a round end; a store that is away is said once."""

from __future__ import annotations

import os
import signal

import pytest
from calling import call

from poseline.cli.setup import repeat
from poseline.errors import BackendError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_rounds_go_on_until_a_signal(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = []
    before = signal.getsignal(number)

    def work() -> None:
        rounds.append("begun")
        if rounds.count("begun") in (1, 3):
            raise BackendError("http://host: no answer")
        if rounds.count("begun") == 5:
            os.kill(os.getpid(), number)
        rounds.append("ended")

    repeat(work, 0.01, set())
    assert rounds[-2:] == ["begun", "ended"]
    assert rounds.count("begun") == 5
    assert capsys.readouterr().err.count("http://host: no answer") == 1
    assert signal.getsignal(number) is before


def test_what_cannot_be_synced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (("--all",), ("--watch", "1"), ("--all", "--watch", "1")):
        assert call(monkeypatch, "sync", *options, "--set", "mlflow.enabled=false") == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: mlflow.enabled is false")
    assert call(monkeypatch, "sync", "--watch", "0") == 2
