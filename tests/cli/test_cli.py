"""The command line: quick to start, one-line errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from calling import call
from typer.main import get_command

from poseline.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("poseline.cli", ("torch", "mlflow", "great_expectations", "pandas", "cv2", "matplotlib", "scipy", "onnxruntime")),
        ("poseline.stages.track", ("torch", "mlflow", "scipy.stats", "scipy.signal", "onnxruntime")),
        ("poseline.pose.run", ("torchvision", "torch._dynamo", "mlflow", "scipy.stats", "scipy.signal", "onnxruntime", "poseline.mini")),
    ],
)
def test_a_command_loads_what_it_needs(module: str, heavy: tuple[str, ...]) -> None:
    """Each of these takes a second or more."""
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert call(monkeypatch, command, "--help") == 0
    shown = capsys.readouterr().out
    assert "Usage: poseline" in shown
    assert len(shown.splitlines()[2].strip()) > 10


def test_a_users_error_is_one_line_with_exit_code_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "preprocess", "--set", "train.epoch=3") == 2
    error = capsys.readouterr().err
    assert "train.epoch: unknown key" in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_debug_shows_the_traceback_and_keeps_line_and_exit_code(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--debug", "preprocess", "--set", "train.epoch=3") == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: ")
    assert "train.epoch: unknown key" in error.splitlines()[-1]


def test_a_missing_device_is_exit_code_3(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for override in tiny for part in ("--set", override)]
    assert call(monkeypatch, "train", "--device", "cuda:99", *sets) == 3
    assert "CUDA devices" in capsys.readouterr().err


def test_a_missing_artifact_names_the_command_that_makes_it(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for override in tiny for part in ("--set", override)]
    assert call(monkeypatch, "predict", "coco", *sets) == 2
    assert "Run `poseline train --set" in capsys.readouterr().err


def test_params_file_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "mini") == 2
    assert "--params FILE" in capsys.readouterr().err
