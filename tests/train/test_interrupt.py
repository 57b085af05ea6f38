"""A run that ends early, by a signal or by force, within an epoch: it goes on at its step and ends with the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from poseline.artifacts import Layout, file_hash
from poseline.config import load_params
from poseline.errors import ArtifactError
from poseline.experiments import StageRun
from poseline.stages import train
from poseline.train.checkpoint import Progress, load_checkpoint, previous_file, save_checkpoint

STEPWISE = ("train.epochs=2", "train.batch_size=2", "train.checkpoint_minutes=0")
"""Many short steps, each with its checkpoint."""
ONE, TWO = (*STEPWISE,), (*STEPWISE, "train.processes=2", "train.batch_size=1")
STEPS = 20
"""Fewer than the two epochs have."""
End = Callable[[subprocess.Popen[str], signal.Signals], None]


def start(project: Path, overrides: tuple[str, ...]) -> subprocess.Popen[str]:
    sets = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *sets]
    return subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def checkpoint(project: Path) -> Path | None:
    return next((project / ".cache/checkpoints").glob("*/checkpoint.pt"), None)


def is_signalled(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)


def rank_is_killed(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """The signal for one process of the training, the last of those that work for the stage."""
    at_work = [child for child in psutil.Process(process.pid).children(recursive=True) if "poseline.stages.train_worker" in child.cmdline()]
    ranks = min(at_work, key=psutil.Process.create_time).children()  # of torchrun's own process
    assert len(ranks) == 2, ranks
    ranks[-1].send_signal(number)


def end_at_random(
    project: Path, overrides: tuple[str, ...], number: signal.Signals, rng: np.random.Generator, end: End = is_signalled
) -> tuple[int, str, Progress]:
    """Exit status and last words of a run that got the signal somewhere in its steps, and how far its checkpoint is."""
    process = start(project, overrides)
    deadline, seen, wanted = time.monotonic() + 120, set(), int(rng.integers(1, STEPS))
    while len(seen) < wanted and time.monotonic() < deadline:  # each step's checkpoint is a new file
        assert process.poll() is None, process.stderr and process.stderr.read()
        with suppress(FileNotFoundError, AttributeError):
            seen.add(checkpoint(project).stat().st_mtime_ns)
        time.sleep(0.001)
    end(process, number)
    _, said = process.communicate(timeout=120)
    path = checkpoint(project)
    assert path is not None, said
    saved = load_checkpoint(path)
    assert saved is not None
    return process.returncode, said, saved[0]


@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    "ends",
    [
        ((signal.SIGTERM, 75), (signal.SIGKILL, -9)),
        pytest.param(((signal.SIGINT, 130), (signal.SIGUSR1, 75)), marks=pytest.mark.slow),
    ],
)
def test_one_process_goes_on_at_its_step(project: Path, tiny: tuple[str, ...], ends: tuple[tuple[signal.Signals, int], ...]) -> None:
    overrides = (*tiny, *ONE)
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
    whole, history = file_hash(project / "data/model/model.safetensors"), (project / "data/model/history.jsonl").read_bytes()
    for number, status in ends:
        code, said, progress = end_at_random(project, overrides, number, np.random.default_rng(int(number)))
        assert code == status, said
        if number != signal.SIGKILL:
            assert f"error: train: stopped by {number.name}. Saved: {progress.epoch} of 2 epochs" in said.splitlines()[-1]
        train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
        assert file_hash(project / "data/model/model.safetensors") == whole
        assert (project / "data/model/history.jsonl").read_bytes() == history
        assert checkpoint(project) is None, "a finished run leaves no checkpoint"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("overrides", "end", "number", "status"),
    [
        pytest.param(ONE, is_signalled, signal.SIGKILL, -9, id="the process"),
        pytest.param(TWO, rank_is_killed, signal.SIGKILL, 3, id="one rank of two"),
        pytest.param(TWO, is_signalled, signal.SIGKILL, -9, id="the launcher of two"),
        pytest.param(ONE, is_signalled, signal.SIGTERM, 75, id="SIGTERM, one process"),
        pytest.param(TWO, is_signalled, signal.SIGTERM, 75, id="SIGTERM, two"),
    ],
)
def test_training_goes_on_ten_of_ten_times(
    project: Path, tiny: tuple[str, ...], overrides: tuple[str, ...], end: End, number: signal.Signals, status: int
) -> None:
    overrides, rng, same, steps = (*tiny, *overrides), np.random.default_rng(1), 0, []
    assert start(project, overrides).wait() == 0
    whole = file_hash(project / "data/model/model.safetensors")
    for _ in range(10):
        code, said, progress = end_at_random(project, overrides, number, rng, end)
        assert code == status, said
        steps.append((progress.epoch, progress.step))
        assert start(project, overrides).wait() == 0
        same += file_hash(project / "data/model/model.safetensors") == whole
    print(f"{same} of 10 runs ended with the same weights after {number.name}; checkpoints at (epoch, step) {sorted(steps)}")
    assert same == 10


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint.pt"
    assert load_checkpoint(path) is None
    for step in (1, 2):
        save_checkpoint(path, Progress(step=step), {"model": {"w": torch.tensor([float(step)])}})
    path.write_bytes(path.read_bytes()[:-40])
    saved = load_checkpoint(path)
    assert saved is not None
    assert (saved[0].step, saved[1]["model"]["w"].item()) == (1, 1.0)
    assert "not a readable checkpoint" in capsys.readouterr().err
    previous_file(path).write_bytes(b"")
    with pytest.raises(ArtifactError, match="Delete it to train from the start"):
        load_checkpoint(path)
