"""Learning rates over a run: AlphaPose's two recipes to the bit, flat then cosine, a second phase, and torch's own schedulers."""

from __future__ import annotations

import json
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

from poseline.config import ScheduleConfig, TrainConfig
from poseline.config.training import SecondPhaseConfig
from poseline.train.optim import learning_rate

PUBLISHED_1X = json.loads((Path(__file__).parent / "published_lr_1x.json").read_text())
"""Learning rate at the start of each epoch of AlphaPose's 1x recipe, as its own program gave it."""


def step_config(epochs: int, milestones: tuple[int, ...], phase: int, again: tuple[int, ...]) -> TrainConfig:
    schedule = ScheduleConfig(kind="step", warmup_steps=0, milestones=milestones)
    second = SecondPhaseConfig(epoch=phase, restart=True, milestones=again)
    return TrainConfig(epochs=epochs, learning_rate=1e-3, schedule=schedule, second_phase=second)


ONE = step_config(200, (90, 120), 141, (20, 50))
TWO = step_config(270, (170, 200), 211, (20, 40))


def epoch_rates(config: TrainConfig, steps_per_epoch: int) -> list[float]:
    return [learning_rate(epoch * steps_per_epoch, config, steps_per_epoch) for epoch in range(config.epochs)]


def follow_torch(epochs: int, milestones: tuple[int, ...], last: int, again: tuple[int, ...]) -> list[float]:
    """Rates of torch's scheduler that is made anew, with the first rate, at the end of the epoch ``last``."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1e-3)
    scheduler, found = MultiStepLR(optimizer, list(milestones), gamma=0.1), []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        if epoch == last:
            optimizer.param_groups[0].update(lr=1e-3, initial_lr=1e-3)
            scheduler = MultiStepLR(optimizer, list(again), gamma=0.1)
    return found


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 1171])
def test_the_1x_recipe_has_the_published_rates(steps_per_epoch: int) -> None:
    assert epoch_rates(ONE, steps_per_epoch) == PUBLISHED_1X
    last_steps = [learning_rate((epoch + 1) * steps_per_epoch - 1, ONE, steps_per_epoch) for epoch in range(ONE.epochs)]
    assert last_steps == PUBLISHED_1X


@pytest.mark.parametrize(("config", "last"), [(ONE, 140), (TWO, 210)])
def test_step_schedules_have_the_bits_of_torchs(config: TrainConfig, last: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = follow_torch(config.epochs, config.schedule.milestones, last, config.second_phase.milestones)
    assert epoch_rates(config, 5) == wanted


def test_the_2x_recipe_changes_at_its_epochs() -> None:
    found = epoch_rates(TWO, 3)
    changes = [epoch for epoch in range(1, 270) if found[epoch] != found[epoch - 1]]
    assert changes == [170, 200, 211, 231, 251]
    assert [found[epoch] for epoch in [0, *changes]] == pytest.approx([1e-3, 1e-4, 1e-5, 1e-3, 1e-4, 1e-5])


def test_flat_cosine_stays_and_then_falls() -> None:
    schedule = ScheduleConfig(kind="flat_cosine", warmup_steps=10, flat=0.5, final=0.05)
    config = TrainConfig(epochs=8, learning_rate=4e-3, schedule=schedule)
    found = [learning_rate(step, config, 25) for step in range(200)]
    assert found[:10] == pytest.approx([4e-3 * (step + 1) / 10 for step in range(10)])
    assert set(found[10:101]) == {4e-3}
    assert all(later < earlier for earlier, later in pairwise(found[100:]))
    assert found[150] == pytest.approx(4e-3 * (0.05 + 0.95 / 2), rel=0.02)
    assert found[-1] == pytest.approx(4e-3 * 0.05)


def test_a_restarted_cosine_falls_twice_and_warms_up_once() -> None:
    schedule = ScheduleConfig(kind="cosine", warmup_steps=2, final=0.1)
    config = TrainConfig(epochs=6, learning_rate=1.0, schedule=schedule, second_phase=SecondPhaseConfig(epoch=4, restart=True))
    found = [learning_rate(step, config, 10) for step in range(60)]
    assert found[0] == 0.5
    assert found[39] == pytest.approx(0.1)
    assert found[40] == 1.0
    assert found[59] == pytest.approx(0.1)


def test_a_second_phase_without_a_restart_leaves_the_schedule() -> None:
    plain = TrainConfig(epochs=6, learning_rate=1.0)
    phase = TrainConfig(epochs=6, learning_rate=1.0, second_phase=SecondPhaseConfig(epoch=3))
    assert [learning_rate(step, phase, 10) for step in range(60)] == [learning_rate(step, plain, 10) for step in range(60)]


def test_a_run_that_ends_before_its_second_phase_never_has_it() -> None:
    short = ONE.model_copy(update={"epochs": 5})
    assert epoch_rates(short, 4) == [1e-3] * 5
