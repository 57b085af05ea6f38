"""Runs with several phases: they resume to the bit wherever they stop, end early where asked, and agree between one process and two."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from poseline.artifacts import Layout, file_hash
from poseline.config import Params, dump_section, load_params
from poseline.errors import ConfigError, StoppedError
from poseline.experiments import StageRun
from poseline.stages import train
from poseline.train import loop
from poseline.train.distributed import Rank
from poseline.train.loop import EpochFeed
from poseline.train.sources import load_training_data

PHASES = {
    "sgd, restarted steps, box noise, frozen backbone": (
        "train.optimizer=sgd", "train.nesterov=true", "train.learning_rate=0.02", "train.schedule.kind=step",
        "train.schedule.milestones=[1]", "train.second_phase={epoch: 2, restart: true, milestones: [1], augment: {box_noise: true}}",
        "train.freeze={epochs: 1, prefixes: [backbone]}", "augment.kind=published",
    ),
    "rmsprop, flat then cosine, weaker augmentation": (
        "train.optimizer=rmsprop", "train.learning_rate=0.001", "train.schedule.kind=flat_cosine", "train.ema=null",
        "train.second_phase={epoch: 2, augment: {rotation_deg: 5, erase: 0.5}}",
    ),
    "adam, restarted cosine, clipping": (
        "train.optimizer=adam", "train.second_phase={epoch: 1, restart: true}", "train.clip_norm=0.01", "train.early_stop=3",
    ),
    "adamw, layer decay, frozen blocks": (
        "model.kind=vitpose", "model.backbone=vit_tiny", "model.head=standard", "model.width=1", "model.drop_path=0.2",
        "train.layer_decay=0.8", "train.freeze={epochs: 2, prefixes: [backbone.vit.blocks.0, backbone.vit.patch_embed]}",
    ),
}  # fmt: skip


def run_training(project: Path, overrides: tuple[str, ...]) -> tuple[str, bytes]:
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
    return file_hash(project / "data/model/model.safetensors"), (project / "data/model/history.jsonl").read_bytes()


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the run get SIGTERM in that step of the whole run."""
    seed = loop.seed_step

    def seed_and_stop(value: int, now: int, rank: Rank) -> None:
        seed(value, now, rank)
        if now == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "seed_step", seed_and_stop)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * ("vit_tiny" in str(PHASES[name]))) for name in PHASES])
def test_a_stopped_run_ends_as_the_whole_one(project: Path, tiny: tuple[str, ...], name: str) -> None:
    overrides = (*tiny, "train.epochs=4", "train.validate_every=1", "train.batch_size=16", *PHASES[name])
    whole = run_training(project, overrides)
    rates = [json.loads(row)["learning_rate"] for row in whole[1].splitlines()]
    assert len(rates) == 4
    steps = len(feed(project, overrides)[0].sampler)
    for step in (steps - 1, steps, 2 * steps - 1, 2 * steps, 3 * steps + steps // 2):
        shutil.rmtree(project / "data/model")
        with pytest.MonkeyPatch.context() as patch:
            stop_at(step, patch)
            with pytest.raises(StoppedError, match="SIGTERM"):
                run_training(project, overrides)
        assert not (project / "data/model").exists()
        assert run_training(project, overrides) == whole, f"stopped in step {step} of {4 * steps}"


def stalled(project: Path, tiny: tuple[str, ...], *more: str) -> list[dict[str, float]]:
    """The history of a run that learns nothing."""
    run_training(project, (*tiny, "train.epochs=9", "train.validate_every=1", "train.learning_rate=1e-30", "train.ema=null", *more))
    return [json.loads(row) for row in (project / "data/model/history.jsonl").read_text().splitlines()]


def test_a_run_without_gain_ends_early_and_says_so(project: Path, tiny: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    history = stalled(project, tiny, "train.early_stop=2")
    best = [row["val_ap"] for row in history].index(max(row["val_ap"] for row in history))
    assert len(history) == best + 3 < 9
    assert f"ends after {best + 3} epochs: 2 validations without a better AP than" in capsys.readouterr().err


def test_a_run_killed_after_its_last_epoch_does_not_go_on(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stalled(project, tiny, "train.early_stop=2")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stalled(project, tiny, "train.early_stop=2")
    assert stalled(project, tiny, "train.early_stop=2") == whole


@pytest.mark.timeout(240)
def test_two_processes_freeze_change_phase_and_end_early_as_one_does(project: Path, tiny: tuple[str, ...]) -> None:
    common = (
        *tiny, "train.epochs=8", "train.validate_every=1", "train.early_stop=1", "train.freeze={epochs: 1, prefixes: [backbone]}",
        "train.second_phase={epoch: 1, restart: true, augment: {erase: 1.0}}", "train.learning_rate=1e-6", "train.ema=null",
    )  # fmt: skip
    run_training(project, (*common, "train.batch_size=16"))
    one = [json.loads(row) for row in (project / "data/model/history.jsonl").read_text().splitlines()]
    sets = [part for override in (*common, "train.batch_size=8", "train.processes=2") for part in ("--set", override)]
    command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *sets]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    two = [json.loads(row) for row in (project / "data/model/history.jsonl").read_text().splitlines()]
    assert len(two) < 8
    for mine, other in zip(one, two, strict=False):
        assert other["learning_rate"] == mine["learning_rate"]
        assert other["loss"] == pytest.approx(mine["loss"], rel=0.05)


WORKER = """
import os, sys
from poseline.stages import train_worker
from poseline.train import loop
rate, write = loop.learning_rate, loop.wait_for_all

def logged(step, config, steps):
    print(step, file=open(f"steps-{os.environ['RANK']}.txt", "a"))
    return rate(step, config, steps)

def looked(rank):
    write(rank)
    total = sum(value.double().sum().item() for value in MODELS[0].parameters())
    print(repr(total), file=open(f"weights-{rank.index}.txt", "a"))

MODELS = []
build = loop.build_trainer
def built(*given):
    trainer = build(*given)
    MODELS.append(trainer.model)
    return trainer

loop.learning_rate, loop.wait_for_all, loop.build_trainer = logged, looked, built
train_worker.main()
"""


@pytest.mark.timeout(240)
def test_all_processes_have_the_same_steps_and_weights_in_every_epoch(project: Path, tiny: tuple[str, ...]) -> None:
    overrides = (*tiny, "train.epochs=3", "train.batch_size=4", "train.processes=2", "train.freeze={epochs: 1, prefixes: [backbone]}")
    (project / "worker.py").write_text(WORKER)
    (project / "snapshot.yaml").write_text(yaml.safe_dump(dump_section(load_params(project / "params.yaml", overrides)), sort_keys=False))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "worker.py", "snapshot.yaml"]
    environment = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done = subprocess.run(
        [*command, str(project), str(project), "cpu", "", "", str(project / "work")],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps, weights = ([(project / f"{name}-{rank}.txt").read_text().split() for rank in (0, 1)] for name in ("steps", "weights"))
    assert steps[0] == steps[1]
    assert len(set(steps[0])) > 6
    assert len(weights[0]) == 3
    assert weights[0] == weights[1]


def feed(project: Path, overrides: tuple[str, ...]) -> tuple[EpochFeed, Params]:
    params = load_params(project / "params.yaml", overrides)
    return EpochFeed(load_training_data(Path("data/processed"), params), params, Rank(0, 1, torch.device("cpu"))), params


def test_the_second_phase_changes_the_images_and_not_their_order(project: Path, tiny: tuple[str, ...]) -> None:
    plain, _ = feed(project, tiny)
    phased, params = feed(project, (*tiny, "train.second_phase={epoch: 2, augment: {erase: 1.0}}"))
    assert (params.augment_at(1).erase, params.augment_at(2).erase) == (0.0, 1.0)
    for epoch in range(4):
        one, other = next(iter(plain.loader(epoch, 0))), next(iter(phased.loader(epoch, 0)))
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.keypoints, other.keypoints)
        assert torch.equal(one.images, other.images) == (epoch < 2)


def test_a_phase_may_use_the_published_augmentation(project: Path, tiny: tuple[str, ...]) -> None:
    phased, params = feed(project, (*tiny, "augment.kind=published", "train.second_phase={epoch: 1, augment: {box_noise: true}}"))
    assert not params.augment_at(0).box_noise
    assert params.augment_at(1).box_noise
    first, second = (phased.loader(epoch, 0).dataset for epoch in (0, 1))
    assert type(first) is type(second)
    assert (first.augment.box_noise, second.augment.box_noise) == (False, True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.second_phase={epoch: 2, augment: {blur: 1}}", r"train.second_phase.augment: blur: no value of augment"),
        ("train.second_phase={epoch: 2, augment: {erase: 2}}", r"train.second_phase.augment: erase: .*less than or equal to 1"),
        ("train.second_phase={epoch: 2, augment: {erase: much}}", r"train.second_phase.augment: erase: .*number"),
        ("train.second_phase={epoch: 0}", r"train.second_phase.epoch: .*greater than or equal to 1"),
        ("train.second_phase={epoch: 2, milestones: [3]}", r"train.second_phase: milestones: .*Set restart to true"),
        ("train.freeze={epochs: 2}", r"train.freeze: prefixes: none"),
        ("train.nesterov=true", r"train: nesterov: goes with optimizer sgd"),
        ("train.optimizer=lion", r"train.optimizer: .*'adam', 'adamw', 'sgd' or 'rmsprop'"),
        ("train.schedule.kind=flat", r"train.schedule.kind: .*'flat_cosine'"),
        ("train.early_stop=0", r"train.early_stop: .*greater than or equal to 1"),
        ("train.layer_decay=1.5", r"train.layer_decay: .*less than or equal to 1"),
    ],
)
def test_bad_values_are_one_line(project: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_params(project / "params.yaml", [override])
    assert "\n" not in str(caught.value)
