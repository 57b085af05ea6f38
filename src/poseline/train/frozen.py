"""Parts of the network that do not learn in the first epochs: neither their weights nor their running statistics change."""

from __future__ import annotations

from torch import nn

from poseline.config.training import FreezeConfig
from poseline.errors import ConfigError


class Frozen:
    """The parts that ``train.freeze`` names.

    A function of the epoch alone: a resumed run has nothing of it to restore. The optimiser skips parameters without a gradient, and keeps
    no moments of them.

    Args:
        model: the network.
        config: which parts, and for how many epochs.
        skip_gradients: leave their gradients out of the backward pass, which saves time. Not under DDP, which expects every gradient.

    Raises:
        ConfigError: a prefix that names no part, or nothing left that learns.
    """

    def __init__(self, model: nn.Module, config: FreezeConfig, *, skip_gradients: bool) -> None:
        self.epochs, self.skip_gradients = config.epochs, skip_gradients
        names = [name for name, _ in model.named_parameters()]
        for prefix in config.prefixes:
            if not any(_below(name, prefix) for name in names):
                tops = ", ".join(dict.fromkeys(".".join(name.split(".")[: prefix.count(".") + 1]) for name in names))
                raise ConfigError(f"train.freeze.prefixes: no part of the network is called '{prefix}'. There are: {_shorten(tops)}")
        parts = [prefix for prefix in config.prefixes if config.epochs]
        self.parameters = [one for name, one in model.named_parameters() if any(_below(name, prefix) for prefix in parts)]
        self.modules = [one for name, one in model.named_modules() if any(_below(name, prefix) for prefix in parts)]
        if names and len(self.parameters) == len(names):
            raise ConfigError(
                "train.freeze.prefixes: the whole network is frozen, so that nothing would learn. Leave out a part, such as head"
            )

    def hold(self, epoch: int) -> None:
        """Freeze the parts, or let them learn, as an epoch asks; call it after the network was set to training."""
        frozen = epoch < self.epochs
        for parameter in self.parameters:
            parameter.requires_grad_(not (frozen and self.skip_gradients))
        for module in self.modules if frozen else ():
            module.training = False

    def drop_gradients(self, epoch: int) -> None:
        """Take the gradients of frozen parts away, so that the optimiser skips them."""
        for parameter in self.parameters if epoch < self.epochs else ():
            parameter.grad = None


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _shorten(names: str) -> str:
    return names if len(names) <= 200 else f"{names[:200].rpartition(',')[0]}, ..."
