"""The training run, from crops to a model folder: resume, train and validate each epoch, keep the best weights."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from poseline.artifacts import atomic_folder, write_text
from poseline.config import ModelConfig, Params, TrainConfig, dump_section
from poseline.crops.augment import CropSample
from poseline.crops.batches import EpochSampler, PoseBatch, train_loader
from poseline.models.normalise import normalise_images
from poseline.models.saved import SavedModel, save_model
from poseline.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from poseline.train.distributed import Rank, average_gradients, average_over_ranks, threads_per_process, wait_for_all
from poseline.train.optim import learning_rate, set_learning_rate
from poseline.train.sources import TrainingData
from poseline.train.trainer import Trainer, build_trainer
from poseline.train.validation import Validator

Report = Callable[[dict[str, float], int], None]
TIMINGS = ("seconds", "images_per_second")
"""Metrics of an epoch that differ between two runs of the same seed, and are not part of the history."""


def fit(params: Params, data: TrainingData, *, out: Path, workdir: Path, rank: Rank, report: Report) -> Progress:
    """Train, and write the best model to ``out``; an unfinished run in ``workdir`` is resumed.

    Args:
        params: the whole tree; seed, data.skeleton, preprocess, codec, model, loss, augment, train and predict.batch_size are used.
        data: training and validation crops.
        out: model folder, replaced at the end: model.safetensors, model.json, history.jsonl.
        workdir: folder of the checkpoint, removed at the end.
        rank: this process.
        report: receives the metrics of each epoch and its index (first process only), those of a resumed run's finished epochs again.
    """
    prepare_determinism(params.seed, threads_per_process(params.train, rank.world_size))
    trainer = build_trainer(params, rank)
    checkpoint = workdir / "checkpoint.pt"
    resume(trainer, checkpoint, report)
    dataset = data.train_dataset(params)
    sampler = EpochSampler(len(dataset), params.train.batch_size, seed=params.seed, rank=rank.index, world_size=rank.world_size)
    loader = train_loader(dataset, sampler, params.train.workers)
    validator = Validator(data, params, trainer.codec, rank.device)

    for epoch in range(trainer.progress.epoch, params.train.epochs):
        sampler.epoch = epoch
        metrics = train_epoch(trainer, loader, params, epoch)
        if rank.is_first:
            if epoch + 1 == params.train.epochs or (epoch + 1) % params.train.validate_every == 0:
                metrics["val_ap"] = validate_epoch(trainer, validator)
            record_epoch(trainer, metrics, epoch)
            report(metrics, epoch)
            if (epoch + 1) % params.train.checkpoint_every == 0:
                save_checkpoint(checkpoint, trainer.progress, trainer.states())
        wait_for_all(rank)

    if rank.is_first:
        write_model(out, params, trainer, data)
        shutil.rmtree(workdir, ignore_errors=True)
    return trainer.progress


def prepare_determinism(seed: int, threads: int) -> None:
    """Seed PyTorch and choose deterministic kernels."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def resume(trainer: Trainer, checkpoint: Path, report: Report) -> None:
    """Continue from the checkpoint, where there is one, and report its epochs."""
    saved = load_checkpoint(checkpoint)
    if saved is None:
        return
    trainer.restore(*saved)
    if trainer.rank.is_first:
        for row in trainer.progress.history:
            report({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]) - 1)


def train_epoch(trainer: Trainer, loader: DataLoader[tuple[int, CropSample]], params: Params, epoch: int) -> dict[str, float]:
    """One pass over the training crops: mean loss and acc over all ranks, the last learning rate, and the speed."""
    trainer.network.train()
    rank, steps = trainer.rank, len(loader)
    loss_sum = acc_sum = 0.0
    started, images = time.perf_counter(), 0
    bar = tqdm(loader, desc=f"epoch {epoch + 1}/{params.train.epochs}", unit="batch", disable=None if rank.is_first else True, leave=False)
    for step, batch in enumerate(bar):
        rate = learning_rate(epoch * steps + step, params.train, steps)
        set_learning_rate(trainer.optimizer, rate)
        loss, acc = train_step(trainer, batch, params.model, params.train)
        loss_sum, acc_sum, images = loss_sum + loss, acc_sum + acc, images + len(batch.index) * rank.world_size
        speed = images / (time.perf_counter() - started)
        bar.set_postfix(loss=f"{loss_sum / (step + 1):.5f}", acc=f"{acc_sum / (step + 1):.4f}", images_per_s=f"{speed:.0f}")
    mean_loss, mean_acc = average_over_ranks([loss_sum / steps, acc_sum / steps], rank)
    seconds = time.perf_counter() - started
    return {"loss": mean_loss, "acc": mean_acc, "learning_rate": rate, "seconds": seconds, "images_per_second": images / seconds}


def train_step(trainer: Trainer, batch: PoseBatch, model: ModelConfig, config: TrainConfig) -> tuple[float, float]:
    """One optimiser step; its loss and training accuracy.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    device = trainer.rank.device
    images = normalise_images(batch.images.to(device, non_blocking=True), model.normalise)
    targets = trainer.codec.encode(batch.keypoints.to(device), batch.weights.to(device))
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=config.amp and device.type == "cuda"):
        outputs = trainer.network(images)
        loss = trainer.loss(outputs, targets)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}. Lower train.learning_rate or set train.clip_norm.")
    update_weights(trainer, loss, config.clip_norm)
    with torch.no_grad():
        acc = trainer.codec.accuracy(outputs, targets)
    return loss.item(), float(acc)


def update_weights(trainer: Trainer, loss: torch.Tensor, clip_norm: float | None) -> None:
    """One step of the optimiser, and of the averaged weights, down the gradient of the loss."""
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(trainer.loss, trainer.rank)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(trainer.network.parameters(), clip_norm)
    trainer.optimizer.step()
    if trainer.average:
        trainer.average.update(trainer.model)


def validate_epoch(trainer: Trainer, validator: Validator) -> float:
    """The validation AP of the present weights; they are kept where none before were better."""
    state = trainer.validated_state()
    ap = validator.score(state)
    if ap >= trainer.progress.best_ap:
        trainer.best, trainer.progress = state, replace(trainer.progress, best_ap=ap)
    return ap


def record_epoch(trainer: Trainer, metrics: dict[str, float], epoch: int) -> None:
    """Add the epoch to the progress. The history is part of the model folder and the same in every run: it has no timings."""
    row = {"epoch": float(epoch + 1), **{name: value for name, value in metrics.items() if name not in TIMINGS}}
    trainer.progress = replace(trainer.progress, epoch=epoch + 1, history=[*trainer.progress.history, row])


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
