"""A password in the store's address or in the environment is in nothing that is printed or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import call

from poseline.experiments.lineage import masked

PLANTED = "pl4nted-pässword"


@pytest.mark.parametrize("address", ["http://ann:{}@127.0.0.1:9", "postgresql://ann:{}@127.0.0.1:9/mlflow", "http://ann:x@{}@127.0.0.1:9/a"])
def test_no_file_and_no_line_holds_it(
    address: str, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(PLANTED))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PLANTED)
    assert call(monkeypatch, "validate", "coco") == 0
    assert call(monkeypatch, "sync", "--debug") == 3
    assert call(monkeypatch, "gate", "--against", "champion") != 0
    assert call(monkeypatch, "doctor") in (0, 1)
    told = "".join(capfd.readouterr())
    assert "127.0.0.1:9" in told
    assert PLANTED not in told
    files = [path for path in project.rglob("*") if path.is_file()]
    assert any(".cache/runs" in path.as_posix() for path in files)
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []


def test_a_secret_of_the_environment_is_hidden_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k3y/with+signs")
    assert masked("refused: t0ken, k3y/with+signs") == "refused: ***, ***"
    assert masked("s3://bucket/a:b sqlite:////a@b:c/mlflow.db") == "s3://bucket/a:b sqlite:////a@b:c/mlflow.db"
