"""What a training run changes: network, loss, optimiser, averaged weights, progress; built, saved and restored together."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from poseline.codecs.base import Codec
from poseline.codecs.build import build_codec
from poseline.config import Params
from poseline.datasets.sets import target_skeleton
from poseline.models.initial_weights import take_weights
from poseline.models.losses import build_loss
from poseline.models.pose_model import PoseModel, build_model
from poseline.project import existing
from poseline.train.checkpoint import Progress, States
from poseline.train.distributed import Rank, wrap_model
from poseline.train.frozen import Frozen
from poseline.train.optim import AveragedWeights, build_optimizer
from poseline.train.swa import StochasticAverage
from poseline.train.teacher import Teacher


@dataclass
class Trainer:
    """The state of a run.

    Attributes:
        model: the network.
        network: what the training step calls: the model, or DDP around it.
        codec: makes targets and training accuracy.
        loss: a module; some losses have weights of their own.
        optimizer: of the weights of model and loss.
        average: moving average of the model's weights, where ``train.ema`` is set.
        swa: mean of the weights of the last epochs, where ``train.swa`` is set.
        frozen: the parts of the model that do not learn in the first epochs.
        teacher: a model whose outputs are learnt too, where ``train.teacher`` names one.
        rank: this process.
        epochs: of the whole run.
        best: the model state of the best validation so far; empty before the first.
        progress: finished epochs, best AP and history.
    """

    model: nn.Module
    network: nn.Module
    codec: Codec
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedWeights | None
    swa: StochasticAverage | None
    frozen: Frozen
    teacher: Teacher | None
    rank: Rank
    epochs: int
    best: dict[str, Tensor] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def states(self) -> States:
        """Everything that a resumed run needs, for a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            **({"swa": self.swa.averaged.state_dict()} if self.swa else {}),
            "best": self.best,
        }

    def restore(self, progress: Progress, states: States) -> None:
        """Continue from a checkpoint."""
        self.progress, self.best = progress, states["best"]
        self.model.load_state_dict(states["model"])
        self.loss.load_state_dict(states["loss"])
        self.optimizer.load_state_dict(states["optimizer"])
        if self.average:
            self.average.load_state_dict(states["average"])
        if self.swa:
            self.swa.averaged.load_state_dict(states["swa"])

    def validated_state(self) -> dict[str, Tensor]:
        """A copy of the weights that are validated and kept: the mean of the last epochs once there is one, else the averaged ones."""
        averaged = self.swa.state() if self.swa and self.swa.has_begun else self.average.state if self.average else None
        state = averaged or self.model.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}


def start_model(params: Params, start: Path | None = None) -> tuple[PoseModel, str]:
    """The network at epoch 0, and a line about how the model of ``train.init_from`` differs from it.

    Args:
        params: seed, data, codec, model and train are used.
        start: the folder that ``train.init_from`` stands for; None: it is that path.

    Raises:
        ConfigError: parts that do not go together, or weights of another network.
        ArtifactError: ``train.init_from`` holds no readable model.
    """
    skeleton = target_skeleton(params.data)
    model = build_model(params.model, params.codec, skeleton.num_keypoints)
    if params.train.init_from is None:
        return model, ""
    folder = start or existing(params.train.init_from, key="train.init_from")
    return model, take_weights(model, folder, model=params.model, codec=params.codec, skeleton=skeleton)


def build_trainer(params: Params, rank: Rank, start: Path | None = None) -> Trainer:
    """The trainer at epoch 0, with fresh weights or those of ``train.init_from``."""
    skeleton = target_skeleton(params.data)
    model, line = start_model(params, start)
    if line and rank.is_first:
        print(line, file=sys.stderr, flush=True)
    model.to(rank.device)
    if params.train.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    codec = build_codec(params.codec, num_keypoints=skeleton.num_keypoints, input_wh=params.model.input_wh)
    codec.check_pairs(skeleton.flip_permutation)
    loss = build_loss(params.loss, codec).to(rank.device)
    optimizer = build_optimizer([model, loss], params.train)
    average = AveragedWeights(model, params.train.ema) if params.train.ema else None
    swa = StochasticAverage(model, params.train.swa, params.train.epochs) if params.train.swa.start is not None else None
    frozen = Frozen(model, params.train.freeze, skip_gradients=rank.world_size == 1)
    teacher = Teacher(params, skeleton, loss, rank) if params.train.teacher.model else None
    network = wrap_model(model, rank, params.train)
    return Trainer(model, network, codec, loss, optimizer, average, swa, frozen, teacher, rank, params.train.epochs)
