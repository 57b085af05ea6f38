"""Batches on their way to the device: the same ones in the same order, pinned and copied ahead on a GPU, and no step that waits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from poseline.codecs.constants import constant
from poseline.config import Params, TrainConfig, load_params
from poseline.crops.batches import PoseBatch
from poseline.train import feed
from poseline.train.distributed import Rank
from poseline.train.loop import prepare_torch, train_step
from poseline.train.trainer import build_trainer

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).resolve().parents[2]


def draw_batch(size: int, *, seed: int, num_keypoints: int = 21, wh: tuple[int, int] = (96, 128)) -> PoseBatch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (size, wh[1], wh[0], 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)
    keypoints = torch.rand(size, num_keypoints, 2, generator=generator) * torch.tensor(wh)
    return PoseBatch(images, keypoints, torch.ones(size, num_keypoints), torch.arange(size))


def mini(*overrides: str) -> Params:
    return load_params(REPOSITORY / "params.yaml", overrides)


def step_losses(params: Params, device: torch.device, steps: int) -> list[float]:
    rank = Rank(0, 1, device)
    prepare_torch(1, params.train, rank)
    trainer = build_trainer(params, rank)
    batches = feed.on_device((draw_batch(4, seed=index) for index in range(steps)), device)
    return [float(train_step(trainer, batch, params.model, params.train)[0]) for batch in batches]


def test_on_the_cpu_the_batches_are_handed_on_one_by_one() -> None:
    asked = []

    def source() -> Iterator[PoseBatch]:
        for index in range(3):
            asked.append(index)
            yield draw_batch(2, seed=index)

    for index, batch in enumerate(feed.on_device(source(), CPU)):
        assert asked == list(range(index + 1))
        assert torch.equal(batch.images, draw_batch(2, seed=index).images)


def test_workers_by_the_cores_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "available_cores", lambda: 16)
    auto, gpu = TrainConfig(workers="auto"), torch.device("cuda")
    assert [feed.count_workers(auto, processes, gpu) for processes in (1, 2, 8, 64)] == [15, 7, 1, 1]
    assert feed.count_workers(auto, 1, CPU) == 0
    assert feed.count_workers(TrainConfig(workers=5), 8, gpu) == 5


def test_a_constant_is_the_tensor_that_torch_makes() -> None:
    assert torch.equal(constant((1.1, 2), CPU), torch.tensor([1.1, 2.0]))
    assert constant([3, 4], CPU, torch.int64).dtype == torch.int64


@pytest.mark.slow
def test_compiled_training_is_that_of_the_plain_network() -> None:
    plain, compiled = (step_losses(mini(f"train.compile={mode}"), CPU, 3) for mode in ("none", "default"))
    assert compiled == pytest.approx(plain, rel=1e-4)


@pytest.mark.gpu
def test_a_constant_lies_on_the_gpu() -> None:
    assert torch.equal(constant((1.1, 2), torch.device("cuda")).cpu(), torch.tensor([1.1, 2.0]))


@pytest.mark.gpu
def test_copies_ahead_bring_the_same_batches_in_the_same_order() -> None:
    device = torch.device("cuda")
    for index, batch in enumerate(feed.on_device((draw_batch(8, seed=index).pin_memory() for index in range(20)), device)):
        _ = [torch.randn(2048, 2048, device=device) @ torch.randn(2048, 2048, device=device) for _ in range(20)]
        wanted = draw_batch(8, seed=index)
        assert torch.equal(batch.images.cpu(), wanted.images)
        assert torch.equal(batch.keypoints.cpu(), wanted.keypoints)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["udp", "heatmap", "integral", "simcc"])
def test_no_step_waits_for_the_gpu(kind: str) -> None:
    params, device = mini(f"codec.kind={kind}", "train.amp=true"), torch.device("cuda")
    prepare_torch(1, params.train, Rank(0, 1, device))
    trainer, batch = build_trainer(params, Rank(0, 1, device)), draw_batch(4, seed=0).pin_memory().to(device)
    train_step(trainer, batch, params.model, params.train)
    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
        try:
            train_step(trainer, batch, params.model, params.train)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_gpu_trains_as_the_cpu_does() -> None:
    here, there = step_losses(mini(), CPU, 4), step_losses(mini("train.deterministic=true"), torch.device("cuda"), 4)
    assert there == pytest.approx(here, rel=2e-2)
    half = step_losses(mini("train.amp=true", "train.compile=default"), torch.device("cuda"), 4)
    assert half == pytest.approx(here, rel=5e-2)
