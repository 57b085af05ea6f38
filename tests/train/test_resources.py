"""A device without memory and a disk without room: one line that says what would do, and exit code 3."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from poseline.artifacts import Layout
from poseline.config import Params, load_params
from poseline.errors import BackendError
from poseline.experiments import StageRun
from poseline.models.pose_model import PoseModel
from poseline.stages import train
from poseline.train import resources
from poseline.train.resources import find_fitting, is_out_of_memory


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def run(project: Path, overrides: tuple[str, ...]) -> None:
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())


def limit_batches(most: int, monkeypatch: pytest.MonkeyPatch, *, training: bool, cuda: bool = True) -> None:
    """Have the network find no memory for more images, while it trains or while it validates."""
    forward = PoseModel.forward

    def limited(self: nn.Module, images: Tensor) -> object:
        if len(images) > most and self.training == training:
            if cuda:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return forward(self, images)

    monkeypatch.setattr(PoseModel, "forward", limited)


@pytest.mark.parametrize("cuda", [True, False])
def test_the_batch_that_fits_is_named(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, cuda: bool) -> None:
    limit_batches(5, monkeypatch, training=True, cuda=cuda)
    with pytest.raises(BackendError) as caught:
        run(project, (*tiny, "train.batch_size=16"))
    assert str(caught.value) == "train: cpu has not the memory for batches of 16; batches of 4 fit (tried: 8, 4). Set train.batch_size=4."
    assert caught.value.exit_code == 3
    run(project, (*tiny, "train.batch_size=4"))


def test_where_nothing_fits_another_network_is_advised(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    limit_batches(0, monkeypatch, training=True)
    with pytest.raises(BackendError, match=r"no smaller batch fits \(tried: 4, 2\)\. Choose a smaller model\.input_wh"):
        run(project, (*tiny, "train.batch_size=8"))


def test_validation_names_its_own_batch(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    limit_batches(3, monkeypatch, training=False)
    with pytest.raises(BackendError, match=r"for batches of 8; batches of 2 fit \(tried: 4, 2\)\. Set predict\.batch_size=2\."):
        run(project, (*tiny, "predict.batch_size=8"))


def test_another_error_of_the_step_stays_what_it_is(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PoseModel, "forward", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(project, tiny)


def test_memory_is_given_back_before_each_attempt() -> None:
    done: list[str | int] = []

    def attempt(count: int) -> None:
        done.append(count)
        if count > 3:
            raise MemoryError

    assert find_fitting(attempt, 13, lambda: done.append("forget")) == (3, [6, 3])
    assert done == ["forget", 6, "forget", 3]
    assert find_fitting(attempt, 3, lambda: None) == (0, [])


def test_only_allocations_count_as_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert"))


@pytest.mark.gpu
def test_a_gpu_without_memory_names_the_batch_that_fits(project: Path, tiny: tuple[str, ...]) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(300e6 / total)
    try:
        with pytest.raises(BackendError, match=r"has not the memory for batches of \d+; .*fits? \(tried: "):
            params = load_params(project / "params.yaml", (*tiny, "train.batch_size=4096", "model.input_wh=[96, 128]", "model.width=1"))
            train.run(params, Layout(Path()), "cuda", StageRun())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - free, free))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_the_room_that_is_asked_for_is_the_room_that_is_taken(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, optimizer: str, ema: str
) -> None:
    overrides = (*tiny, f"train.optimizer={optimizer}", f"train.ema={ema}", "train.learning_rate=1e-4", "model.width=1")
    disk(monkeypatch, 0)
    with pytest.raises(BackendError) as caught:
        run(project, overrides)
    said = str(caught.value)
    assert said.startswith("train: 3 checkpoints of ")
    assert "has 0 MB free. Make room there (`poseline clean`" in said
    assert caught.value.exit_code == 3
    assert not (project / "data/model").exists()
    sizes: list[int] = []
    disk(monkeypatch, 10**11)
    rmtree = shutil.rmtree

    def look(folder: Path, **options: bool) -> None:
        sizes.extend(file.stat().st_size for file in Path(folder).glob("*.pt"))
        rmtree(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("poseline.train.loop.shutil.rmtree", look)
    run(project, overrides)
    promised = float(said.split("checkpoints of ")[1].split(" MB")[0]) * 1e6
    assert max(sizes) == pytest.approx(promised, rel=0.05)


def test_checkpoints_that_are_there_count_as_room(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    params: Params = load_params(project / "params.yaml", tiny)
    folder = train.checkpoint_folder(params, Layout(Path()), train.load_training_data(Path("data/processed"), params).hash, 1)
    folder.mkdir(parents=True)
    disk(monkeypatch, 0)
    with pytest.raises(BackendError, match="MB free"):
        run(project, tiny)
    (folder / "other.pt").write_bytes(b"\0" * 10**7)
    run(project, tiny)
