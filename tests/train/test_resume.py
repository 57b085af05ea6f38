"""Training: the same seed gives the same bits, also after an interruption and in several processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from poseline.artifacts import Layout, file_hash
from poseline.config import load_params
from poseline.experiments import StageRun
from poseline.stages import train

EPOCHS = ("train.epochs=3",)


def run_training(project: Path, overrides: tuple[str, ...]) -> str:
    params = load_params(project / "params.yaml", overrides)
    train.run(params, Layout(Path()), "cpu", StageRun())
    return file_hash(project / "data/model/model.safetensors")


def command(project: Path, overrides: tuple[str, ...]) -> list[str]:
    sets = [part for override in overrides for part in ("--set", override)]
    return [sys.executable, "-m", "poseline.cli", "train", *sets]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(project: Path, tiny: tuple[str, ...]) -> None:
    first = run_training(project, tiny)
    history = (project / "data/model/history.jsonl").read_text()
    assert run_training(project, tiny) == first
    assert (project / "data/model/history.jsonl").read_text() == history
    assert run_training(project, (*tiny, "seed=2")) != first


def test_a_killed_run_resumes_to_the_same_bits(project: Path, tiny: tuple[str, ...]) -> None:
    overrides = (*tiny, *EPOCHS)
    whole = run_training(project, overrides)
    history = [json.loads(line) for line in (project / "data/model/history.jsonl").read_text().splitlines()]
    shutil.rmtree(project / "data/model")
    process = subprocess.Popen(command(project, overrides), cwd=project, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((project / ".cache/checkpoints").glob("*/checkpoint.pt")) and time.monotonic() < deadline:
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    checkpoint = next((project / ".cache/checkpoints").glob("*/checkpoint.pt"))
    done = torch.load(checkpoint, weights_only=True)["progress"]["epoch"]
    assert 1 <= done < 3
    assert not (project / "data/model").exists(), "a killed run must leave no model"
    assert run_training(project, overrides) == whole
    again = [json.loads(line) for line in (project / "data/model/history.jsonl").read_text().splitlines()]
    assert again == history
    assert not checkpoint.exists(), "a finished run leaves no checkpoint"


def test_a_checkpoint_of_other_parameters_is_not_taken(project: Path, tiny: tuple[str, ...]) -> None:
    other = project / ".cache/checkpoints/0123456789abcdef0123/checkpoint.pt"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"garbage")
    run_training(project, tiny)
    assert other.read_bytes() == b"garbage"


@pytest.mark.timeout(240)
def test_two_gloo_processes_train_and_agree_with_one(project: Path, tiny: tuple[str, ...]) -> None:
    # 2 x 4 pictures a step are the same pictures as 1 x 8; batch norm's statistics are per process, so only nearly the same loss.
    one = (*tiny, "train.batch_size=8")
    run_training(project, one)
    single = json.loads((project / "data/model/history.jsonl").read_text().splitlines()[0])
    two = (*tiny, "train.batch_size=4", "train.processes=2")
    result = subprocess.run(command(project, two), cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    double = json.loads((project / "data/model/history.jsonl").read_text().splitlines()[0])
    assert double["loss"] == pytest.approx(single["loss"], rel=0.05)
    assert double["learning_rate"] == single["learning_rate"]


def test_a_loss_that_explodes_says_so(project: Path, tiny: tuple[str, ...]) -> None:
    with pytest.raises(FloatingPointError, match=r"Lower train\.learning_rate"):
        run_training(project, (*tiny, "train.learning_rate=1e30", "train.epochs=3", "train.schedule.warmup_steps=0"))
