"""A store behind something that is broken in part: artifacts that are answered with 500, an expired certificate, one of one's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_servers import make_certificate, proxy, serve

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.experiments import open_stage, pending_records, sync

if TYPE_CHECKING:
    from tests.experiments.conftest import Store

LIMIT_S = 5.0


def stage_seconds(params: Params, layout: Layout, score: Callable[..., Path]) -> float:
    """How long a stage of 0.1 s takes."""
    started = time.monotonic()
    with open_stage("score@coco", params, layout) as run:
        run.log_metrics({"loss": 0.5}, step=1)
        time.sleep(0.1)
        score("coco", ap=0.5)
    return time.monotonic() - started


def test_artifacts_that_are_answered_with_500_cost_a_line_and_arrive_later(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, score: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with serve(layout.root, dead_uri):
        direct = make_params(uri=dead_uri)
        stage_seconds(direct, layout, score)  # what is loaded once
        usual = stage_seconds(direct, layout, score)
        assert capsys.readouterr().err == ""
        broken = {"mlflow-artifacts"}
        with proxy(dead_uri, broken=broken) as uri:
            seconds = stage_seconds(make_params(uri=uri), layout, score)
            said = capsys.readouterr()
            waiting = len(pending_records(layout))
            broken.clear()
            sent = sync(make_params(uri=uri), layout).sent
        print(f"500 for artifacts: {seconds - usual:+.2f} s beside {usual:.2f} s")
        [line] = said.err.splitlines()
        assert said.out == ""
        assert line.startswith("poseline: score@coco: warning: no experiment store (")
        assert "500" in line
        assert len(line) < 500
        assert seconds - usual < LIMIT_S
        assert (waiting, sent) == (1, 1)
        run = store.stage("score@coco")
        assert run.data.metrics["coco.ap"] == 0.5


def test_an_expired_certificate_costs_a_line(
    layout: Layout, make_params: Callable[..., Params], tmp_path: Path, score: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with proxy(None, certificate=make_certificate(tmp_path, days=-1)) as uri:
        stage_seconds(make_params(uri=uri), layout, score)
        said = capsys.readouterr()
        seconds = stage_seconds(make_params(uri=uri), layout, score)
        print(f"expired certificate: {seconds - 0.1:+.2f} s")
    [line] = [one for one in said.err.splitlines() if one]
    assert "certificate" in line
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in line
    assert seconds < LIMIT_S


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "MLFLOW_TRACKING_INSECURE_TLS"])
def test_a_certificate_of_ones_own_is_accepted(
    layout: Layout, store: Store, make_params: Callable[..., Params], dead_uri: str, score: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str,
) -> None:  # fmt: skip
    file = make_certificate(tmp_path, days=30)
    with serve(layout.root, dead_uri), proxy(dead_uri, certificate=file) as uri:
        monkeypatch.setenv(variable, "true" if "INSECURE" in variable else str(file))
        stage_seconds(make_params(uri=uri), layout, score)
        assert [one for one in capsys.readouterr().err.splitlines() if "no experiment store" in one] == []
    assert store.stage("score@coco").data.metrics["coco.ap"] == 0.5
