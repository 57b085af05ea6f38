"""Batches on their way to the device: how many processes make them, and the copy of the next one while the present one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from poseline.config.training import TrainConfig
from poseline.crops.batches import PoseBatch
from poseline.threads import available_cores

MOST_WORKERS = 16
"""Data-loading processes of a training process, where their number is not given."""


def count_workers(config: TrainConfig, processes: int, device: torch.device) -> int:
    """Data-loading processes of one training process.

    ``auto`` is none on the CPU, where the network itself keeps every core busy, and beside a GPU one per core that the training process
    leaves free.

    >>> count_workers(TrainConfig(workers=3), 1, torch.device("cpu")), count_workers(TrainConfig(workers="auto"), 1, torch.device("cpu"))
    (3, 0)
    """
    if config.workers != "auto":
        return config.workers
    if device.type == "cpu":
        return 0
    return max(1, min(available_cores() // processes - 1, MOST_WORKERS))


def on_device(batches: Iterable[PoseBatch], device: torch.device) -> Iterator[PoseBatch]:
    """The batches on the device, in order; on CUDA each is copied on a stream of its own while the step before it computes."""
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    copying = torch.cuda.Stream(device)
    waiting: tuple[PoseBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            copied = batch.to(device), copying.record_event()
        if waiting is not None:
            yield _hand_over(*waiting)
        waiting = copied
    if waiting is not None:
        yield _hand_over(*waiting)


def _hand_over(batch: PoseBatch, copied: torch.cuda.Event) -> PoseBatch:
    """The batch for the present stream, which waits for its copy; its memory is not used again before that stream is done with it."""
    current = torch.cuda.current_stream(batch.images.device)
    current.wait_event(copied)
    for part in (batch.images, batch.keypoints, batch.weights):
        part.record_stream(current)
    return batch
