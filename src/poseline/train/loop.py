"""The training run, from crops to a model folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from poseline.artifacts import atomic_folder, write_text
from poseline.codecs.base import Codec
from poseline.codecs.build import build_codec
from poseline.config import Params, dump_section
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import EpochSampler, PoseBatch, train_loader
from poseline.models.losses import build_loss
from poseline.models.normalise import normalise_images
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, load_model, save_model
from poseline.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from poseline.train.distributed import (
    Rank,
    average_gradients,
    average_over_ranks,
    threads_per_process,
    wait_for_all,
    wrap_model,
)
from poseline.train.optim import AveragedWeights, build_optimizer, learning_rate, set_learning_rate
from poseline.train.sources import TrainingData
from poseline.train.validation import Validator

Report = Callable[[dict[str, float], int], None]


@dataclass
class Trainer:
    """What changes while a run goes on, and what a checkpoint keeps of it."""

    model: nn.Module
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    best: dict[str, torch.Tensor]
    progress: Progress

    def states(self) -> dict[str, dict[str, torch.Tensor]]:
        """Everything a resumed run needs."""
        average = self.average.state_dict() if self.average else {}
        return {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": average,
            "best": self.best,
        }

    def restore(self, progress: Progress, states: dict[str, dict[str, torch.Tensor]]) -> None:
        """Continue from a checkpoint."""
        self.progress, self.best = progress, states["best"]
        self.model.load_state_dict(states["model"])
        self.loss.load_state_dict(states["loss"])
        self.optimizer.load_state_dict(states["optimizer"])
        if self.average:
            self.average.load_state_dict(states["average"])

    def judged_state(self) -> dict[str, torch.Tensor]:
        """The weights that are validated and kept: the averaged ones where averaging is on."""
        state = self.average.state if self.average else self.model.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}


def fit(params: Params, data: TrainingData, *, out: Path, workdir: Path, rank: Rank, report: Report) -> Progress:
    """Train, and write the best model to ``out``; continue from ``workdir`` where an unfinished run of the same kind lies.

    Args:
        params: the whole tree; seed, codec, model, loss, augment and train are used.
        data: training and validation crops.
        out: model folder, replaced at the end: model.safetensors, model.json, history.jsonl.
        workdir: folder of the checkpoint, removed at the end.
        rank: this process.
        report: receives the figures of each epoch (first process only).
    """
    prepare_determinism(params.seed, threads_per_process(params.train, rank.world_size))
    trainer, codec = build_trainer(params, rank)
    checkpoint = workdir / "checkpoint.pt"
    if (saved := load_checkpoint(checkpoint)) is not None:
        trainer.restore(*saved)
        if rank.is_first:
            for row in trainer.progress.history:
                report({key: value for key, value in row.items() if key != "epoch"}, int(row["epoch"]) - 1)
    dataset = data.train_dataset(params)
    sampler = EpochSampler(len(dataset), params.train.batch_size, seed=params.seed, rank=rank.index, world_size=rank.world_size)
    loader = train_loader(dataset, sampler, params.train.workers)
    network = wrap_model(trainer.model, rank)
    validator = Validator(data, params, codec, rank.device)

    for epoch in range(trainer.progress.epoch, params.train.epochs):
        sampler.epoch = epoch
        figures = train_epoch(network, trainer, loader, codec, params, epoch=epoch, rank=rank)
        if rank.is_first:
            judge_epoch(trainer, validator, params, figures, epoch)
            report(figures, epoch)
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


def build_trainer(params: Params, rank: Rank) -> tuple[Trainer, Codec]:
    """The network (fresh, or from ``train.init_from``), its loss and optimiser, at epoch 0."""
    skeleton = load_skeleton(params.data.skeleton)
    model = build_model(params.model, params.codec, skeleton.num_keypoints)
    if params.train.init_from is not None:
        source, _ = load_model(params.train.init_from)
        model.load_state_dict(source.state_dict())
    model.to(rank.device)
    if params.train.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    codec = build_codec(params.codec, num_keypoints=skeleton.num_keypoints, input_wh=params.model.input_wh)
    codec.check_pairs(skeleton.flip_permutation)
    loss = build_loss(params.loss, codec).to(rank.device)
    optimizer = build_optimizer([model, loss], params.train)
    average = AveragedWeights(model, params.train.ema) if params.train.ema else None
    return Trainer(model, loss, optimizer, average, {}, Progress(0, -1.0, [])), codec


def train_epoch(
    network: nn.Module,
    trainer: Trainer,
    loader: DataLoader[PoseBatch],
    codec: Codec,
    params: Params,
    *,
    epoch: int,
    rank: Rank,
) -> dict[str, float]:
    """One pass over the training crops; its mean loss and acc (over all ranks), rate and speed."""
    network.train()
    steps = len(loader)
    loss_sum = acc_sum = 0.0
    started, images = time.perf_counter(), 0
    bar = tqdm(loader, desc=f"epoch {epoch + 1}/{params.train.epochs}", unit="batch", disable=None if rank.is_first else True, leave=False)
    for step, batch in enumerate(bar):
        rate = learning_rate(epoch * steps + step, params.train, steps)
        set_learning_rate(trainer.optimizer, rate)
        loss, acc = train_step(network, trainer, batch, codec, params, rank)
        loss_sum, acc_sum, images = loss_sum + loss, acc_sum + acc, images + len(batch.index) * rank.world_size
        speed = images / (time.perf_counter() - started)
        bar.set_postfix(loss=f"{loss_sum / (step + 1):.5f}", acc=f"{acc_sum / (step + 1):.4f}", images_per_s=f"{speed:.0f}")
    mean_loss, mean_acc = average_over_ranks([loss_sum / steps, acc_sum / steps], rank)
    seconds = time.perf_counter() - started
    return {"loss": mean_loss, "acc": mean_acc, "learning_rate": rate, "seconds": seconds, "images_per_second": images / seconds}


def train_step(network: nn.Module, trainer: Trainer, batch: PoseBatch, codec: Codec, params: Params, rank: Rank) -> tuple[float, float]:
    """One optimiser step; its loss and training accuracy.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    images = normalise_images(batch.images.to(rank.device, non_blocking=True), params.model.normalise)
    targets = codec.encode(batch.keypoints.to(rank.device), batch.weights.to(rank.device))
    amp = params.train.amp and rank.device.type == "cuda"
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=amp):
        outputs = network(images)
        loss = trainer.loss(outputs, targets)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}. Lower train.learning_rate or set train.clip_norm.")
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(trainer.loss, rank)
    if params.train.clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), params.train.clip_norm)
    trainer.optimizer.step()
    if trainer.average:
        trainer.average.update(trainer.model)
    with torch.no_grad():
        acc = codec.accuracy(outputs, targets)
    return loss.item(), float(acc)


def judge_epoch(trainer: Trainer, validator: Validator, params: Params, figures: dict[str, float], epoch: int) -> None:
    """Validate where it is due, keep the best weights, and write the epoch into the history. Adds ``val_ap`` to the figures."""
    last = epoch + 1 == params.train.epochs
    best_ap, history = trainer.progress.best_ap, trainer.progress.history
    if last or (epoch + 1) % params.train.validate_every == 0:
        state = trainer.judged_state()
        figures["val_ap"] = validator.score(state)
        if figures["val_ap"] >= best_ap:
            best_ap, trainer.best = figures["val_ap"], state
    # The history is part of the model's folder and must be the same in every run: no timings.
    row = {"epoch": float(epoch + 1), **{k: v for k, v in figures.items() if k not in ("seconds", "images_per_second")}}
    trainer.progress = Progress(epoch + 1, best_ap, [*history, row])


def write_model(out: Path, params: Params, trainer: Trainer, data: TrainingData) -> None:
    """Write the best weights with all that prediction needs to know, and the history."""
    trainer.model.load_state_dict(trainer.best)
    saved = SavedModel(
        model=params.model,
        codec=params.codec,
        skeleton=params.data.skeleton,
        data_hash=data.hash,
        extra={"seed": params.seed, "best_val_ap": trainer.progress.best_ap, "train": dump_section(params.train)},
    )
    with atomic_folder(out) as folder:
        save_model(folder, trainer.model, saved)
        write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in trainer.progress.history))
