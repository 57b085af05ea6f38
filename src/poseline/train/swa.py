"""Stochastic weight averaging: the equal mean of the weights after each of the last epochs, with norm statistics of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from poseline.config.network import NormaliseConfig
from poseline.config.training import SwaConfig
from poseline.crops.batches import PoseBatch
from poseline.models.normalise import normalise_images


def first_epoch(config: SwaConfig, epochs: int) -> int | None:
    """The first epoch, counted from 0, whose weights are averaged; None where none are.

    >>> [first_epoch(SwaConfig(start=start), 10) for start in (None, 0.75, 0.99)]
    [None, 7, 9]
    """
    return None if config.start is None else min(int(config.start * epochs + 1e-9), epochs - 1)


class StochasticAverage:
    """The mean of a network's weights after each epoch from ``train.swa.start`` on.

    Weights are averaged, running statistics of norms are not: those of the mean belong to no epoch, and :meth:`renew_norms` takes them anew
    from training batches.

    Args:
        model: the network.
        config: train.swa, with a start.
        epochs: of the whole run.

    Reference: Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization.
    """

    def __init__(self, model: nn.Module, config: SwaConfig, epochs: int) -> None:
        self.averaged = AveragedModel(model)
        self.start = first_epoch(config, epochs) or 0

    @property
    def has_begun(self) -> bool:
        """Whether there is a mean."""
        return int(self.averaged.n_averaged) > 0

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        """Take the weights of a finished epoch, counted from 0, where it is one of those that are averaged."""
        if epoch >= self.start:
            self.averaged.update_parameters(model)

    def renew_norms(self, batches: Iterable[PoseBatch], normalise: NormaliseConfig, device: torch.device) -> None:
        """Take the running statistics of norms anew, as the plain mean over training batches; a network without such norms runs nothing."""

        def images() -> Iterator[Tensor]:
            for batch in batches:
                yield normalise_images(batch.images.to(device), normalise)

        update_bn(images(), self.averaged)
        self.averaged.eval()

    def state(self) -> dict[str, Tensor]:
        """The weights and statistics of the mean, by the names of the network."""
        state: dict[str, Tensor] = self.averaged.module.state_dict()
        return state
