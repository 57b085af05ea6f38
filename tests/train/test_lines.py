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

from poseline.train import means as module
from poseline.train.means import MOST_SKIPPED, STEPS_BETWEEN_READS, RunningMeans

ROWS = torch.tensor([3, 8])


def values(count: int) -> list[torch.Tensor]:
    return list(torch.from_numpy(np.random.default_rng(0).random((count, 2)).astype(np.float32)))


def test_a_step_reads_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    stack = torch.stack
    monkeypatch.setattr(module.torch, "stack", lambda tensors: reads.append(1) or stack(tensors))
    means = RunningMeans()
    for pair in values(STEPS_BETWEEN_READS - 1):
        means.add(pair, ROWS)
    assert reads == []
    means.add(values(1)[0], ROWS)
    assert len(reads) == 1


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_the_means_are_those_of_single_steps_to_the_bit(every: int) -> None:
    means, drawn = RunningMeans(), values(175)
    loss_sum = acc_sum = 0.0
    for step, pair in enumerate(drawn):
        means.add(pair, ROWS)
        loss_sum, acc_sum = loss_sum + pair[0].item(), acc_sum + pair[1].item()
        if step % every == 0:
            assert means.read() == {"loss": loss_sum / (step + 1), "acc": acc_sum / (step + 1)}
    assert means.read() == {"loss": loss_sum / 175, "acc": acc_sum / 175}
    assert means.read() == means.read()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_steps_without_a_finite_loss_are_counted_and_too_many_stop(value: float) -> None:
    means, bad = RunningMeans(), torch.tensor([value, 0.0])
    for pair in [*values(5), bad, *values(5)]:
        means.add(pair, ROWS)
    finite = RunningMeans()
    for pair in [*values(5), *values(5)]:
        finite.add(pair, ROWS)
    assert (means.read(), means.skipped, means.steps) == (finite.read(), 1, 10)
    with pytest.raises(FloatingPointError, match=r"in 11 of 21 steps of the epoch, last with rows \[3, 8\].*Lower train\.learning_rate"):
        for _ in range(STEPS_BETWEEN_READS):
            means.add(bad, ROWS)
            if means.skipped + len(means._waiting) > MOST_SKIPPED:
                means.read()


def test_an_epoch_without_any_finite_loss_stops() -> None:
    means = RunningMeans()
    means.add(torch.tensor([torch.nan, 0.0]), ROWS)
    with pytest.raises(FloatingPointError, match="in 1 of 1 steps"):
        means.read()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("processes", [1, 2])
def test_lines_come_within_an_epoch(project: Path, tiny: tuple[str, ...], processes: int) -> None:
    overrides = (*tiny, "train.epochs=4", "train.batch_size=2", f"train.processes={processes}")
    sets = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *sets]
    environment = {**os.environ, "POSELINE_PROGRESS": "0.05"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("train: epoch")]
    pattern = r"train: epoch \d+/4: \d+/\d+ images  loss 0\.\d+  acc [\d.]+  data wait \d+%  [\d.]+ images/s  .* left(  .* left in all)?"
    assert len([line for line in lines if re.fullmatch(pattern, line)]) >= 3, done.stderr
    if processes == 1:
        quiet = subprocess.run([*command, "--json"], cwd=project, env=environment, capture_output=True, text=True, check=True)
        assert not [line for line in quiet.stderr.splitlines() if line.startswith("train:")]
