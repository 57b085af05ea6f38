"""What training says within an epoch, and that saying it costs the device nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from poseline.train import loop
from poseline.train.loop import STEPS_BETWEEN_READS, RunningMeans


def values(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    drawn = np.random.default_rng(0).random((count, 2)).astype(np.float32)
    return [(torch.tensor(loss), torch.tensor(acc)) for loss, acc in drawn]


def test_a_step_reads_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    stack = torch.stack
    monkeypatch.setattr(loop.torch, "stack", lambda tensors: reads.append(1) or stack(tensors))
    means = RunningMeans()
    for loss, acc in values(STEPS_BETWEEN_READS - 1):
        means.add(loss, acc)
    assert reads == []
    means.add(*values(1)[0])
    assert len(reads) == 2  # one for the losses, one for the accuracies


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_the_means_are_those_of_single_steps_to_the_bit(every: int) -> None:
    means, drawn = RunningMeans(), values(175)
    loss_sum = acc_sum = 0.0
    for step, (loss, acc) in enumerate(drawn):
        means.add(loss, acc)
        loss_sum, acc_sum = loss_sum + loss.item(), acc_sum + float(acc)
        if step % every == 0:
            assert means.read() == {"loss": loss_sum / (step + 1), "acc": acc_sum / (step + 1)}
    assert means.read() == {"loss": loss_sum / 175, "acc": acc_sum / 175}
    assert means.read() == means.read()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_stops_within_some_steps(value: float) -> None:
    means = RunningMeans()
    means.add(torch.tensor(value), torch.tensor(0.0))
    with pytest.raises(FloatingPointError, match=r"Lower train\.learning_rate"):
        for loss, acc in values(STEPS_BETWEEN_READS):
            means.add(loss, acc)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("processes", [1, 2])
def test_lines_come_within_an_epoch(project: Path, tiny: tuple[str, ...], processes: int) -> None:
    overrides = (*tiny, "train.epochs=12", "train.batch_size=2", f"train.processes={processes}")
    sets = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *sets]
    environment = {**os.environ, "POSELINE_PROGRESS": "0.05"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("train: epoch")]
    pattern = (
        r"train: epoch \d+/12: \d+/\d+ images  loss 0\.\d+  acc [\d.]+  data wait \d+%  [\d.]+ images/s  .* left(  .* left in all)?"
    )
    assert len([line for line in lines if re.fullmatch(pattern, line)]) >= 3, done.stderr
    quiet = subprocess.run([*command, "--json"], cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert not [line for line in quiet.stderr.splitlines() if line.startswith("train:")]
