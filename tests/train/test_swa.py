"""Stochastic weight averaging: the plain mean of the last epochs' weights, norm statistics of its own, torch's rate, and no bit lost."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from poseline.artifacts import Layout, file_hash
from poseline.config import Params, load_params
from poseline.config.training import ScheduleConfig, SwaConfig, TrainConfig
from poseline.crops.batches import PoseBatch
from poseline.errors import ConfigError, StoppedError
from poseline.experiments import StageRun
from poseline.models.normalise import normalise_images
from poseline.stages import train
from poseline.train import loop
from poseline.train.distributed import Rank
from poseline.train.optim import learning_rate, scheduled_rate
from poseline.train.sources import load_training_data
from poseline.train.trainer import Trainer, build_trainer

SWA = ("train.epochs=4", "train.validate_every=1", "train.batch_size=16", "train.swa.start=0.5", "train.swa.learning_rate=0.002")


def run_training(project: Path, overrides: tuple[str, ...]) -> tuple[str, bytes]:
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
    return file_hash(project / "data/model/model.safetensors"), (project / "data/model/history.jsonl").read_bytes()


def watched(project: Path, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, list[dict[str, Tensor]]]:
    """The trainer of a run, and the network's state after each epoch."""
    trainers, states = [], []
    build, record = loop.build_trainer, loop.record_epoch

    def built(*given: object) -> Trainer:
        trainers.append(build(*given))  # type: ignore[arg-type]
        return trainers[0]

    def recorded(trainer: Trainer, metrics: dict[str, float], epoch: int) -> None:
        states.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
        record(trainer, metrics, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "build_trainer", built)
        patch.setattr(loop, "record_epoch", recorded)
        patch.setattr(loop, "write_model", lambda *_: None)
        train_only(project, overrides)
    return trainers[0], states


def train_only(project: Path, overrides: tuple[str, ...]) -> None:
    params = load_params(project / "params.yaml", overrides)
    with pytest.raises(FileNotFoundError, match="history"):  # the model is not written
        train.run(params, Layout(Path()), "cpu", StageRun())


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_the_mean_is_that_of_the_last_epochs(ema: str, project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = (*tiny, *SWA, f"train.ema={ema}")
    trainer, states = watched(project, overrides, monkeypatch)
    kept = trainer.validated_state()
    weights = [name for name, _ in trainer.model.named_parameters()]
    assert any(not torch.equal(states[2][name], states[3][name]) for name in weights)
    for name in weights:
        torch.testing.assert_close(kept[name], (states[2][name] + states[3][name]) / 2, rtol=1e-5, atol=1e-6)


def test_norm_statistics_are_the_plain_mean_over_the_epochs_batches(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[PoseBatch] = []
    renew = loop.renew_norms

    def renewed(trainer: Trainer, feed: loop.EpochFeed, params: Params, epoch: int) -> None:
        renew(trainer, feed, params, epoch)
        batches[:] = list(feed.loader(epoch, 0))  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "renew_norms", renewed)
    trainer, _ = watched(project, (*tiny, *SWA), monkeypatch)
    assert trainer.swa
    kept = trainer.validated_state()
    params = load_params(project / "params.yaml", (*tiny, *SWA))
    first = next(name for name in kept if name.endswith("running_mean"))
    norm = first.removesuffix(".running_mean")
    seen: list[Tensor] = []
    handle = trainer.swa.averaged.module.get_submodule(norm).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    trainer.swa.averaged.train()
    for batch in batches:
        with torch.no_grad():
            trainer.swa.averaged(normalise_images(batch.images, params.model.normalise))
    handle.remove()
    assert len(seen) == len(batches) > 1
    torch.testing.assert_close(kept[first], torch.stack([one.mean((0, 2, 3)) for one in seen]).mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(kept[f"{norm}.running_var"], torch.stack([one.var((0, 2, 3)) for one in seen]).mean(0), rtol=1e-4, atol=1e-6)
    assert int(kept[f"{norm}.num_batches_tracked"]) == len(batches)


@pytest.mark.timeout(240)
def test_a_stopped_run_ends_as_the_whole_one(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = (*tiny, *SWA, "train.swa.anneal_epochs=1")
    plain = run_training(project, (*tiny, *SWA[:3]))
    whole = run_training(project, overrides)
    assert whole != plain
    params = load_params(project / "params.yaml", overrides)
    data = load_training_data(Path("data/processed"), params)
    steps = len(loop.EpochFeed(data, params, Rank(0, 1, torch.device("cpu"))).sampler)
    seed = loop.seed_step
    for step in (3 * steps - 1, 3 * steps + steps // 2):

        def stop(value: int, now: int, rank: Rank, step: int = step) -> None:
            seed(value, now, rank)
            if now == step:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "seed_step", stop)
            with pytest.raises(StoppedError, match="SIGTERM"):
                run_training(project, overrides)
        assert run_training(project, overrides) == whole, f"stopped in step {step}"


def test_the_mean_is_what_is_saved(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = (*tiny, *SWA, "train.swa.start=0")
    trainer, _ = watched(project, overrides, monkeypatch)
    run_training(project, overrides)
    rows = [json.loads(row) for row in (project / "data/model/history.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    saved = load_file(project / "data/model/model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in trainer.best.items())
    assert not all(torch.equal(saved[name], value) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("epochs", [0, 3])
def test_the_rate_is_torchs_at_each_epoch(anneal: str, epochs: int) -> None:
    swa = SwaConfig.model_validate({"start": 0.5, "learning_rate": 0.05, "anneal_epochs": epochs, "anneal": anneal})
    config = TrainConfig(epochs=12, learning_rate=1.0, swa=swa, schedule=ScheduleConfig(kind="constant", warmup_steps=0))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.swa_utils.SWALR(optimizer, 0.05, anneal_epochs=epochs, anneal_strategy="cos" if anneal == "cosine" else "linear")
    for epoch in range(6, 12):
        if epoch > 6 or not epochs:
            optimizer.step()
            theirs.step()
        assert learning_rate(7 * epoch, config, 7) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
    assert learning_rate(41, config, 7) == 1.0


def test_without_a_rate_of_its_own_the_schedule_goes_on() -> None:
    config = TrainConfig(epochs=10, swa=SwaConfig(start=0.5))
    assert [learning_rate(step, config, 3) for step in range(30)] == [scheduled_rate(step, config, 3) for step in range(30)]


def test_off_by_default(project: Path, tiny: tuple[str, ...]) -> None:
    trainer = build_trainer(load_params(project / "params.yaml", tiny), Rank(0, 1, torch.device("cpu")))
    assert trainer.swa is None
    assert "swa" not in trainer.states()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.swa.start=1", r"train.swa.start: .*less than 1"),
        ("train.swa.learning_rate=0.1", r"train.swa: learning_rate: it holds from start on, which is null. Set train.swa.start"),
        ("train.swa.anneal=slow", r"train.swa.anneal: .*'cosine' or 'linear'"),
    ],
)
def test_bad_values_are_one_line(project: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_params(project / "params.yaml", [override])
    assert "\n" not in str(caught.value)
