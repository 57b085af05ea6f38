"""The training run, from crops to a model folder: resume, train and validate each epoch, keep the best weights."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from poseline.artifacts import atomic_folder, write_text
from poseline.codecs.base import Outputs
from poseline.config import AugmentConfig, ModelConfig, Params, TrainConfig, dump_section
from poseline.crops.augment import CropSample
from poseline.crops.batches import EpochSampler, PoseBatch, PoseDataset, train_loader
from poseline.errors import ConfigError
from poseline.models.normalise import normalise_images
from poseline.models.saved import SavedModel, save_model
from poseline.progress import Meter, follow, note
from poseline.train.checkpoint import Progress, checkpoint_file, load_checkpoint
from poseline.train.distributed import (
    Rank,
    average_gradients,
    first_decides,
    local_processes,
    mean_over_ranks,
    threads_per_process,
    wait_for_all,
)
from poseline.train.feed import count_workers, on_device
from poseline.train.interrupt import Interrupt
from poseline.train.keeper import Keeper
from poseline.train.means import RunningMeans
from poseline.train.optim import learning_rate, set_learning_rate
from poseline.train.resources import check_disk, describe_memory, explain_memory, find_fitting, forget, is_out_of_memory
from poseline.train.sources import TrainingData
from poseline.train.trainer import Trainer, build_trainer
from poseline.train.validation import Validator

Report = Callable[[dict[str, float], int], None]
TIMINGS = ("seconds", "images_per_second", "data_wait")
"""Metrics of an epoch that differ between two runs of the same seed, and are not part of the history."""


def fit(
    params: Params, data: TrainingData, *, out: Path, workdir: Path, rank: Rank, report: Report, start: Path | None = None
) -> Progress:  # fmt: skip
    """Train, and write the best model to ``out``; an unfinished run in ``workdir`` is resumed.

    Args:
        params: the whole tree; seed, data.skeleton, preprocess, codec, model, loss, augment, train and predict.batch_size are used.
        data: training and validation crops.
        out: model folder, replaced at the end: model.safetensors, model.json, history.jsonl.
        workdir: folder of the checkpoint, removed at the end.
        rank: this process.
        report: receives the metrics of each epoch and its index (first process only), those of a resumed run's finished epochs again.
        start: the folder of the model that ``train.init_from`` stands for; None: it is that path.
    """
    prepare_torch(params.seed, params.train, rank)
    trainer = build_trainer(params, rank, start)
    if rank.is_first:
        check_disk(workdir, trainer, params)
    feed = EpochFeed(data, params, rank)
    validator = Validator(data, params, trainer.codec, rank.device)

    with Interrupt() as interrupt:
        keeper = Keeper(checkpoint_file(workdir), trainer, 60 * params.train.checkpoint_minutes, interrupt)
        resume(trainer, keeper, report)
        for epoch in range(trainer.progress.epoch, params.train.epochs):
            if ends_early(trainer, params.train.early_stop):
                break
            metrics = train_epoch(trainer, feed.loader(epoch, trainer.progress.step), params, keeper)
            if trainer.swa:
                trainer.swa.after_epoch(trainer.model, epoch)
            if rank.is_first and (epoch + 1 == params.train.epochs or (epoch + 1) % params.train.validate_every == 0):
                renew_norms(trainer, feed, params, epoch)
                metrics["val_ap"] = validate_epoch(trainer, validator)
            record_epoch(trainer, metrics, epoch)
            if rank.is_first:
                report(metrics, epoch)
                if (epoch + 1) % params.train.checkpoint_every == 0:
                    keeper.save()
            wait_for_all(rank)

    if rank.is_first:
        write_model(out, params, trainer, data)
        shutil.rmtree(workdir, ignore_errors=True)
    return trainer.progress


def prepare_torch(seed: int, config: TrainConfig, rank: Rank) -> None:
    """Seed PyTorch, set its threads, and choose kernels: the same bits in every run, or on CUDA the fastest where that is not asked for."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads_per_process(config, rank.world_size))
    on_gpu = rank.device.type == "cuda"
    deterministic = config.deterministic or not on_gpu
    torch.use_deterministic_algorithms(deterministic, warn_only=on_gpu)
    # With deterministic kernels torch fills all new memory with NaN, which no kernel that we use reads.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - the module has it without declaring it
    torch.backends.cudnn.benchmark = not deterministic


def resume(trainer: Trainer, keeper: Keeper, report: Report) -> None:
    """Continue from the checkpoint, where there is one, say so, and report its epochs."""
    saved = load_checkpoint(keeper.path)
    if saved is None:
        return
    trainer.restore(*saved)
    if trainer.rank.is_first:
        for row in trainer.progress.history:
            report({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]) - 1)
        print(f"train: goes on after {trainer.progress.describe()}", file=sys.stderr, flush=True)


class EpochFeed:
    """The training people of each epoch, in the order and with the augmentation that belong to it.

    Args:
        data: the people.
        params: seed, model, augment and train are used.
        rank: this process.
    """

    def __init__(self, data: TrainingData, params: Params, rank: Rank) -> None:
        self.data, self.params, self.rank = data, params, rank
        self.sampler = EpochSampler(len(data.train), params.train.batch_size, seed=params.seed, rank=rank.index, world_size=rank.world_size)
        self._augment: AugmentConfig | None = None

    def loader(self, epoch: int, start: int) -> DataLoader[tuple[int, CropSample]]:
        """The batches of an epoch from its step ``start`` on; the processes that load stay until the augmentation changes."""
        self.sampler.epoch, self.sampler.start = epoch, start
        augment = self.params.augment_at(epoch)
        if augment != self._augment:
            workers = count_workers(self.params.train, local_processes(self.rank), self.rank.device)
            dataset = self.data.train_dataset(self.params, epoch)
            self._loader = train_loader(dataset, self.sampler, workers, pin_memory=self.rank.device.type == "cuda")
            self._augment = augment
        return self._loader


def ends_early(trainer: Trainer, validations: int | None) -> bool:
    """Whether the run ends before its last epoch, because so many validations brought no better AP; it says so."""
    if validations is None or not first_decides(trainer.progress.has_stalled(validations), trainer.rank):
        return False
    if trainer.rank.is_first:
        note(f"ends after {trainer.progress.describe()}: {validations} validations without a better AP than {trainer.progress.best_ap:.4f}")
    return True


def train_epoch(trainer: Trainer, loader: DataLoader[tuple[int, CropSample]], params: Params, keeper: Keeper) -> dict[str, float]:
    """What is left of an epoch: its mean loss and acc over all ranks, the last learning rate, and the speed."""
    trainer.network.train()
    trainer.frozen.hold(trainer.progress.epoch)
    rank, progress, steps, epochs = trainer.rank, trainer.progress, len(loader), params.train.epochs
    before, means, images = progress.epoch * steps, RunningMeans(**progress.partial), 0
    total = min(steps * params.train.batch_size * rank.world_size, len(cast("PoseDataset", loader.dataset)))
    left = total - progress.step * params.train.batch_size * rank.world_size
    started, title = time.perf_counter(), f"epoch {progress.epoch + 1}/{epochs}"
    with Meter(title, left, "images", values=means.read, ahead=(epochs - progress.epoch - 1) * total, hidden=not rank.is_first) as meter:
        for step, batch in enumerate(on_device(meter.timed(loader), rank.device), start=progress.step):
            seed_step(params.seed, before + step, rank)
            set_learning_rate(trainer.optimizer, learning_rate(before + step, params.train, steps))
            means.add(step_in_memory(trainer, batch, params), batch.index)
            images += len(batch.index) * rank.world_size
            meter.add(len(batch.index) * rank.world_size)
            keeper.after_step(step, means)
    metrics = {**means.read(), "learning_rate": learning_rate(before + steps - 1, params.train, steps)}  # waits for the device
    if means.skipped:
        metrics["skipped_steps"] = float(means.skipped)
    seconds = time.perf_counter() - started
    return {**metrics, "seconds": seconds, "images_per_second": images / seconds, "data_wait": meter.waited_s / seconds}


def step_in_memory(trainer: Trainer, batch: PoseBatch, params: Params) -> torch.Tensor:
    """What :func:`train_step` gives.

    Raises:
        BackendError: the device has not the memory; names the batch size that would fit.
    """
    try:
        return train_step(trainer, batch, params.model, params.train)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Here the error is gone, and with it what its frames held of the device's memory.
    raise explain_memory(trainer, batch, params)


def seed_step(seed: int, step: int, rank: Rank) -> None:
    """Make the random numbers of a step (dropout, stochastic depth) depend on seed, step and rank alone: it can be repeated."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank.index)).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def train_step(trainer: Trainer, batch: PoseBatch, model: ModelConfig, config: TrainConfig) -> torch.Tensor:
    """One optimiser step on a batch that lies on the device; its loss and training accuracy [2], means over the ranks, still there too.

    Where the loss is not finite, the optimiser leaves the weights as they are.
    """
    images = normalise_images(batch.images, model.normalise)
    targets = trainer.codec.encode(batch.keypoints, batch.weights)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=config.amp and trainer.rank.device.type == "cuda"):
        outputs = run_network(trainer, images)
        loss = trainer.loss(outputs, targets)
        if trainer.teacher:
            loss = loss + trainer.teacher.term(outputs, batch.images)
    with torch.no_grad():
        acc = trainer.codec.accuracy(outputs, targets)
        values = mean_over_ranks(torch.stack([loss.detach().float(), acc.float()]), trainer.rank)
        trainer.optimizer.found_inf = (~torch.isfinite(values[0])).float()  # type: ignore[attr-defined]  # read by fused optimisers
    update_weights(trainer, loss, config.clip_norm)
    return values


def run_network(trainer: Trainer, images: torch.Tensor) -> Outputs:
    """The network's outputs for a batch.

    Raises:
        ConfigError: one image whose last feature map is one cell: batch norm has nothing to take a variance of.
    """
    try:
        outputs: Outputs = trainer.network(images)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        width, height = images.shape[3], images.shape[2]
        raise ConfigError(
            f"a batch of one image of {width}x{height} has a single value a channel in a batch norm. Raise train.batch_size or "
            "model.input_wh, give more people, or lower train.processes."
        ) from None
    return outputs


def update_weights(trainer: Trainer, loss: torch.Tensor, clip_norm: float | None) -> None:
    """One step of the optimiser, and of the averaged weights, down the gradient of the loss."""
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(trainer.loss, trainer.rank)
    trainer.frozen.drop_gradients(trainer.progress.epoch)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(trainer.network.parameters(), clip_norm)
    trainer.optimizer.step()
    if trainer.average:
        trainer.average.update(trainer.model)


def renew_norms(trainer: Trainer, feed: EpochFeed, params: Params, epoch: int) -> None:
    """Give the mean of the last epochs' weights norm statistics of its own, over this process's batches of the epoch; else nothing.

    Random numbers of the network (stochastic depth) depend on the step alone, so that a resumed run takes the same.
    """
    if trainer.swa is None or not trainer.swa.has_begun:
        return
    loader = feed.loader(epoch, 0)
    seed_step(params.seed, (epoch + 1) * len(loader), trainer.rank)
    batches = follow(on_device(loader, trainer.rank.device), "norm statistics", total=len(loader), unit="batches")
    trainer.swa.renew_norms(batches, params.model.normalise, trainer.rank.device)


def validate_epoch(trainer: Trainer, validator: Validator) -> float:
    """The validation AP of the present weights; they are kept where none before were better.

    Raises:
        BackendError: the device has not the memory; names the batch size that would fit.
    """
    state = trainer.validated_state()
    try:
        ap = validator.score(state)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        ap = None
    if ap is None:
        size = min(validator.batch_size, len(validator.dataset))
        fitting, tried = find_fitting(validator.try_batch, size, lambda: forget(trainer))
        raise describe_memory("predict.batch_size", size, fitting, tried, trainer.rank.device)
    if ap >= trainer.progress.best_ap:
        trainer.best, trainer.progress = state, replace(trainer.progress, best_ap=ap)
    return ap


def record_epoch(trainer: Trainer, metrics: dict[str, float], epoch: int) -> None:
    """Add the epoch to the progress, in every process: learning rate, random numbers and phases follow from it.

    The history is part of the model folder and the same in every run: it has no timings. Only the first process knows the validation AP.
    """
    row = {"epoch": float(epoch + 1), **{name: value for name, value in metrics.items() if name not in TIMINGS}}
    trainer.progress = replace(trainer.progress, epoch=epoch + 1, step=0, partial={}, history=[*trainer.progress.history, row])


def write_model(out: Path, params: Params, trainer: Trainer, data: TrainingData) -> None:
    """Write the best weights with all that prediction needs to know, and the history: one JSON object a line."""
    trainer.model.load_state_dict(trainer.best)
    saved = SavedModel(
        model=params.model,
        codec=params.codec,
        skeleton=params.data.skeleton,
        data_hash=data.hash,
        extra={
            "seed": params.seed,
            "best_val_ap": trainer.progress.best_ap,
            "train": dump_section(params.train),
            "made_from": data.made_from(params),
        },
    )
    with atomic_folder(out) as folder:
        save_model(folder, trainer.model, saved)
        write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in trainer.progress.history))
