"""What a run needs of the machine: room on the disk for its checkpoints, and memory of the device for its batches."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from poseline.config import Params
from poseline.crops.batches import PoseBatch
from poseline.errors import BackendError
from poseline.models.normalise import normalise_images
from poseline.train.trainer import Trainer

CHECKPOINTS = 3
"""On the disk at once: the newest, the one before, and one that is being written."""
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 2}
"""Numbers that an optimiser keeps for each weight."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that of an allocation on the device; on the CPU torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def check_disk(workdir: Path, trainer: Trainer, params: Params) -> None:
    """Nothing, where the disk has room for the checkpoints and the model of a run, beside what is there already.

    Raises:
        BackendError: it has not.
    """
    weights = sum(value.nbytes for value in trainer.model.state_dict().values())
    moments = MOMENTS[params.train.optimizer] * sum(one.nbytes for one in (*trainer.model.parameters(), *trainer.loss.parameters()))
    copies = 2 + (trainer.average is not None) + (trainer.swa is not None)  # the weights, the best ones, the averaged ones
    checkpoint = copies * weights + moments
    present = sum(file.stat().st_size for file in workdir.glob("*.pt"))
    needed = CHECKPOINTS * checkpoint + weights - present
    place = next(folder for folder in (workdir, *workdir.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise BackendError(
            f"train: {CHECKPOINTS} checkpoints of {checkpoint / 1e6:.0f} MB and the model need {needed / 1e6:.0f} MB, but the disk of "
            f"{place.resolve()} has {free / 1e6:.0f} MB free. Make room there (`poseline clean` shows what may go)."
        )


def explain_memory(trainer: Trainer, batch: PoseBatch, params: Params) -> BackendError:
    """The error for a training step that had no memory: which batch would fit, by trying its halves, each with a forward and backward pass.

    Args:
        trainer: its weights stay as they are; the run ends.
        batch: that did not fit.
        params: model and train are used.
    """
    device = trainer.rank.device
    moments = MOMENTS[params.train.optimizer] if not trainer.optimizer.state else 0  # before the first step they are still to come

    def attempt(count: int) -> None:
        room = [torch.empty_like(one) for _ in range(moments) for one in trainer.model.parameters()]
        part = PoseBatch(batch.images[:count], batch.keypoints[:count], batch.weights[:count], batch.index[:count]).to(device)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=params.train.amp and device.type == "cuda"):
            outputs = trainer.model(normalise_images(part.images, params.model.normalise))
            loss = trainer.loss(outputs, trainer.codec.encode(part.keypoints, part.weights))
        loss.backward()
        del room

    fitting, tried = find_fitting(attempt, len(batch.index), lambda: forget(trainer))
    more = ", or train.amp=true" if device.type == "cuda" and not params.train.amp else ""
    return describe_memory("train.batch_size", len(batch.index), fitting, tried, device, more)


def forget(trainer: Trainer) -> None:
    """Give back the memory of an attempt."""
    trainer.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if trainer.rank.device.type == "cuda":
        torch.cuda.empty_cache()


def describe_memory(key: str, size: int, fitting: int, tried: list[int], device: torch.device, more: str = "") -> BackendError:
    """The error for batches that did not fit: what does, and what was tried."""
    found = f"batches of {fitting} fit" if fitting else "no smaller batch fits"
    advice = f"Set {key}={fitting}" if fitting else "Choose a smaller model.input_wh or model.backbone"
    halves = ", ".join(map(str, tried)) or "none"
    return BackendError(f"train: {device} has not the memory for batches of {size}; {found} (tried: {halves}). {advice}{more}.")


def find_fitting(attempt: Callable[[int], None], size: int, forget: Callable[[], None]) -> tuple[int, list[int]]:
    """The first of the halves of a batch size, down to two, that can be computed (0 where none can), and those that were tried.

    Args:
        attempt: computes a batch of that size.
        size: that could not be computed.
        forget: gives back the memory of an attempt.
    """
    tried: list[int] = []
    while size >= 4:
        size //= 2
        tried.append(size)
        forget()
        try:
            attempt(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return size, tried
    return 0, tried
