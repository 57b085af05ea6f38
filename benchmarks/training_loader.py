"""A training epoch with its loader: when each batch came, how long the device took for each, and what a change of the loader does."""

from __future__ import annotations

import ctypes
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from poseline.config import Params
from poseline.crops.augment import CropSample
from poseline.crops.batches import EpochSampler, PoseBatch, PoseDataset, train_loader
from poseline.train.checkpoint import Progress
from poseline.train.interrupt import Interrupt
from poseline.train.keeper import Keeper
from poseline.train.loop import train_epoch
from poseline.train.trainer import Trainer

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""
PRELOADED = ["training_loader", "training_profile", "poseline.infer.estimator", "poseline.train.trainer"]
"""Modules that the server from which workers are forked loads once, for them all."""
AHEAD = 2
"""Batches that the engine asks for before its first step: the second is copied while the first is used."""


@dataclass(frozen=True)
class Setup:
    """A loader of the engine, or one that differs from it.

    Attributes:
        workers: processes.
        prefetch: batches that each makes ahead.
        pinned: whether batches are copied to pinned memory.
        shared: whether a worker puts a batch together in memory that the training process maps, instead of copying it there.
        keeps: whether a worker keeps freed memory for itself, which the system would have to clear before it gives it again.
    """

    workers: int
    prefetch: int = 2
    pinned: bool = True
    shared: bool = False
    keeps: bool = False

    def loader(self, dataset: PoseDataset, sampler: EpochSampler, device: torch.device) -> DataLoader[tuple[int, CropSample]]:
        """The loader of the engine with these changes."""
        loader = train_loader(dataset, sampler, self.workers, pin_memory=self.pinned and device.type == "cuda")
        changes: dict[str, Any] = {"prefetch_factor": self.prefetch} if self.workers else {}
        changes |= {"collate_fn": SharedCollate(dataset)} if self.shared else {}
        changes |= {"worker_init_fn": keep_memory} if self.keeps else {}
        for name, value in changes.items():
            setattr(loader, name, value)
        return loader


def keep_memory(_worker: int) -> None:
    """Let glibc give back no freed memory, and take none for single arrays."""
    glibc = ctypes.CDLL(None)
    if not glibc.mallopt(M_MMAP_THRESHOLD, 2**25) or not glibc.mallopt(M_TRIM_THRESHOLD, 2**30):
        raise OSError("mallopt refuses the thresholds")


@dataclass(frozen=True)
class SharedCollate:
    """Puts a batch together in shared memory where a worker does it."""

    dataset: PoseDataset

    def __call__(self, samples: list[tuple[int, CropSample]]) -> PoseBatch:
        """The batch that the data set makes of the samples."""
        if get_worker_info() is None:
            return self.dataset.collate(samples)
        height, width = samples[0][1].image.shape[:2]
        storage = torch.UntypedStorage._new_shared(len(samples) * height * width * 3, device="cpu")
        images = torch.empty(0, dtype=torch.uint8).set_(storage).view(len(samples), height, width, 3)
        np.stack([sample.image for _, sample in samples], out=images.numpy())
        batch = self.dataset.collate([(row, replace(sample, image=sample.image[:1, :1])) for row, sample in samples])
        return replace(batch, images=images.permute(0, 3, 1, 2))


class Watched:
    """A loader that notes how long the training process waited for each batch, and when its device came to each."""

    def __init__(self, loader: DataLoader[tuple[int, CropSample]], device: torch.device) -> None:
        self.loader, self.dataset, self.device = loader, loader.dataset, device
        self.waits: list[float] = []
        self.events: list[torch.cuda.Event] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """The loader's batches; what was noted of an epoch before is forgotten."""
        self.waits, self.events, source = [], [], None
        while True:
            if self.device.type == "cuda":
                event = torch.cuda.Event(enable_timing=True)
                event.record()
                self.events.append(event)
            asked = time.perf_counter()
            source = source or iter(self.loader)
            batch = next(source, None)
            if batch is None:
                return
            self.waits.append(time.perf_counter() - asked)
            yield batch

    def start_s(self) -> float:
        """Seconds until the first step could begin."""
        return sum(self.waits[:AHEAD])

    def device_steps_ms(self) -> list[float]:
        """Milliseconds of the device from one step to the next, its waiting included; empty where there is no GPU."""
        return [first.elapsed_time(second) for first, second in zip(self.events[AHEAD:], self.events[AHEAD + 1 :], strict=False)]


def run_epoch(trainer: Trainer, params: Params, dataset: PoseDataset, setup: Setup) -> dict[str, Any]:
    """A whole epoch of the engine's loop, loader and all; some steps before it start the workers and compile."""
    device = trainer.rank.device
    sampler = EpochSampler(len(dataset), params.train.batch_size, seed=params.seed)
    loader = Watched(setup.loader(dataset, sampler, device), device)
    with tempfile.TemporaryDirectory() as folder, Interrupt() as interrupt:
        keeper = Keeper(Path(folder) / "checkpoint.pt", trainer, 1e9, interrupt)
        sampler.start = max(len(sampler) - 3, 0)
        trainer.progress = Progress(step=sampler.start)
        train_epoch(trainer, loader, params, keeper)  # type: ignore[arg-type]  # it reads the length, the data set and the batches
        trainer.progress, sampler.start = Progress(), 0
        metrics = train_epoch(trainer, loader, params, keeper)  # type: ignore[arg-type]
    images, late = metrics["seconds"] * metrics["images_per_second"], loader.waits[AHEAD:]
    found = {
        "seconds": metrics["seconds"],
        "images": round(images),
        "data_wait": metrics["data_wait"],
        "start_s": loader.start_s(),
        "images_per_second_after_start": images / (metrics["seconds"] - loader.start_s()),
        "waits_after_start_s": sum(late),
        "late_batches": sum(wait > 0.01 for wait in late),
    }
    if steps := loader.device_steps_ms():
        median = statistics.median(steps)
        found |= {"device_step_ms": median, "device_stalls_s": sum(max(step - median, 0) for step in steps) / 1e3}
    return found


def load_epoch(dataset: PoseDataset, batch_size: int, setup: Setup, device: torch.device) -> float:
    """Images a second of the loader alone, over whole rounds of its workers, so that none is idle at the end."""
    sampler = EpochSampler(len(dataset), batch_size, seed=1)
    loader = setup.loader(dataset, sampler, device)
    sampler.start = len(sampler) - 1  # one batch, which starts the workers
    list(loader)
    rounds = 4 * setup.workers if setup.workers else 8
    sampler.start, started = max(len(sampler) - rounds, 0), time.perf_counter()
    count = sum(len(batch.index) for batch in loader)
    return count / (time.perf_counter() - started)
