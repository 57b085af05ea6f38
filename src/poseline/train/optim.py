"""Optimiser, learning-rate schedule and averaged weights."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from poseline.config.training import ScheduleConfig, TrainConfig
from poseline.errors import ConfigError
from poseline.train.swa import first_epoch

BLOCK = re.compile(r"backbone\.\w+\.blocks\.(\d+)\.")
EMBEDDING = re.compile(r"backbone\.\w+\.(patch_embed|pos_embed|cls_token|reg_token)\b")
"""Names of the parameters of a vision transformer's blocks, and of what lies before them."""


class GuardedRMSprop(torch.optim.RMSprop):
    """RMSprop that leaves a step out where the loss was not finite, as torch's fused optimisers do. It has no fused form.

    Attributes:
        found_inf: above 0 where the loss was not finite. On a GPU the host waits for it in each step.
    """

    found_inf: Tensor | None = None

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step, or none."""
        return None if self.found_inf is not None and bool(self.found_inf > 0) else super().step(closure)


def build_optimizer(modules: Iterable[nn.Module], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of all weights that are not frozen for good, in groups of equal weight decay and scale of the learning rate.

    Raises:
        ConfigError: ``train.layer_decay`` with another network than a vision transformer.
    """
    groups = group_parameters([pair for module in modules for pair in module.named_parameters() if pair[1].requires_grad], config)
    # Fused: one pass over each tensor instead of a dozen; saves a tenth of a step of a small network on the CPU.
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        case "sgd":
            sgd = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov, fused=True)
            for group in sgd.param_groups if config.momentum else ():
                # The same bits as torch's own start, which fails where some weights learn later than others, and keeps what lies in the
                # memory where the first loss was not finite.
                sgd.state.update({one: {"momentum_buffer": torch.zeros_like(one)} for one in group["params"]})
            return sgd
        case "rmsprop":
            return GuardedRMSprop(groups, lr=config.learning_rate, momentum=config.momentum)


def group_parameters(named: Sequence[tuple[str, nn.Parameter]], config: TrainConfig) -> list[dict[str, object]]:
    """Groups of parameters for an optimiser, each with its weight decay and ``lr_scale``.

    Biases, normalisation weights (tensors of one dimension) and tables of positions have no weight decay unless ``decay_norms``.

    Raises:
        ConfigError: ``train.layer_decay`` with another network than a vision transformer.
    """
    scales = scale_layers([name for name, _ in named], config.layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for (name, parameter), scale in zip(named, scales, strict=True):
        decays = config.decay_norms or (parameter.ndim > 1 and not name.endswith("pos_embed"))
        groups.setdefault((scale, decays), []).append(parameter)
    return [
        {"params": groups[scale, decays], "weight_decay": config.weight_decay if decays else 0.0, "lr_scale": scale}
        for scale, decays in sorted(groups, reverse=True)
    ]


def scale_layers(names: Sequence[str], decay: float) -> list[float]:
    """The factor on the learning rate of each named parameter: ``decay`` once for every layer above it.

    The head and the last normalisation are one layer, each block of a vision transformer is one, and its embeddings are the lowest.

    Raises:
        ConfigError: a decay below 1 with another network.

    >>> scale_layers(["backbone.vit.pos_embed", "backbone.vit.blocks.0.w", "backbone.vit.blocks.1.w", "head.w"], 0.5)
    [0.125, 0.25, 0.5, 1.0]
    """
    if decay == 1:
        return [1.0] * len(names)
    blocks = {name: int(found[1]) + 1 for name in names if (found := BLOCK.match(name))}
    lowest = dict.fromkeys((name for name in names if EMBEDDING.match(name)), 0)
    if not blocks or not lowest:
        raise ConfigError("train.layer_decay: only vision transformers have such layers. Set it to 1, or choose a model.backbone vit_...")
    layers, top = lowest | blocks, max(blocks.values()) + 1
    return [decay ** (top - layers.get(name, top)) for name in names]


def learning_rate(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """The learning rate of an optimiser step counted from 0: that of its schedule, or of ``train.swa`` from its first epoch on.

    A function of the step alone, unlike torch's schedulers: a resumed run has no schedule to restore. The rate of ``train.swa`` is that of
    torch's SWALR, step by step instead of epoch by epoch.

    >>> config = TrainConfig(learning_rate=1.0, schedule=ScheduleConfig(kind="step", warmup_steps=0, milestones=(2,)))
    >>> [learning_rate(step, config, 10) for step in (0, 19, 20)]
    [1.0, 1.0, 0.1]
    """
    start, last = first_epoch(config.swa, config.epochs), config.swa.learning_rate
    if start is None or last is None or step < start * steps_per_epoch:
        return scheduled_rate(step, config, steps_per_epoch)
    first = scheduled_rate(start * steps_per_epoch, config, steps_per_epoch)
    way = min((step / steps_per_epoch - start) / config.swa.anneal_epochs, 1.0) if config.swa.anneal_epochs else 1.0
    there = (1 - math.cos(math.pi * way)) / 2 if config.swa.anneal == "cosine" else way
    return last * there + first * (1 - there)


def scheduled_rate(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """The learning rate of a step by ``train.schedule`` and its second phase, times a linear warm-up."""
    schedule, phase = config.schedule, config.second_phase
    warmup = min((step + 1) / schedule.warmup_steps, 1.0) if schedule.warmup_steps else 1.0
    rate = config.learning_rate * warmup
    if not phase.restart or phase.epoch is None:
        return follow_schedule(rate, step, schedule, schedule.milestones, epochs=config.epochs, steps_per_epoch=steps_per_epoch)
    start = phase.epoch * steps_per_epoch
    if step < start:
        epochs = min(phase.epoch, config.epochs)
        return follow_schedule(rate, step, schedule, schedule.milestones, epochs=epochs, steps_per_epoch=steps_per_epoch)
    epochs = config.epochs - phase.epoch
    return follow_schedule(rate, step - start, schedule, phase.milestones, epochs=epochs, steps_per_epoch=steps_per_epoch)


def follow_schedule(
    rate: float, step: int, schedule: ScheduleConfig, milestones: Sequence[int], *, epochs: int, steps_per_epoch: int
) -> float:
    """The rate at a step of a phase of so many epochs that begins with ``rate``."""
    match schedule.kind:
        case "cosine" | "flat_cosine":
            flat = round(schedule.flat * epochs * steps_per_epoch) if schedule.kind == "flat_cosine" else 0
            progress = min(max(step - flat, 0) / max(epochs * steps_per_epoch - flat - 1, 1), 1.0)
            rate *= schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            for milestone in milestones:  # one after another: the same bits as torch's MultiStepLR
                if step // steps_per_epoch >= milestone:
                    rate *= schedule.factor
        case "constant":
            pass
    return rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group: ``rate`` times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


class AveragedWeights:
    """Exponential moving average of a module's floating-point state; the decay of update n is min(decay, (1 + n) / (10 + n)).

    The same bits as torch's AveragedModel with this decay, in a third of its time and without a host synchronisation in each step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.num_updates = decay, 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._moving = {name for name, value in self.state.items() if value.is_floating_point()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's present state; integers are copied."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        current = module.state_dict()
        moving = [name for name in current if name in self._moving]
        torch._foreach_lerp_([self.state[name] for name in moving], [current[name] for name in moving], 1 - decay)
        rest = [name for name in current if name not in self._moving]
        if rest:
            torch._foreach_copy_([self.state[name] for name in rest], [current[name] for name in rest])

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {**self.state, "num_updates": torch.tensor(self.num_updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state_dict`` gave."""
        self.num_updates = int(state["num_updates"])
        for name, value in self.state.items():
            value.copy_(state[name])
