"""Freezing: weights, running statistics and moments of the named parts stay for the first epochs, and learn afterwards."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from poseline.config import TrainConfig
from poseline.config.training import FreezeConfig
from poseline.errors import ConfigError
from poseline.train.frozen import Frozen
from poseline.train.optim import build_optimizer


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images))


def step(network: Network, frozen: Frozen, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    network.train()
    frozen.hold(epoch)
    optimizer.zero_grad()
    network(torch.randn(4, 3, 6, 6)).square().mean().backward()
    frozen.drop_gradients(epoch)
    optimizer.step()


@pytest.mark.parametrize("skip_gradients", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_a_frozen_part_stays_for_its_epochs_and_then_learns(optimizer: str, skip_gradients: bool) -> None:
    network = Network()
    config = TrainConfig(optimizer=optimizer, weight_decay=0.1, freeze=FreezeConfig(epochs=2, prefixes=("backbone",)))
    built, frozen = build_optimizer([network], config), Frozen(network, config.freeze, skip_gradients=skip_gradients)
    before = copy.deepcopy(network.state_dict())
    for epoch in (0, 0, 1):
        step(network, frozen, built, epoch)
    now = network.state_dict()
    assert all(torch.equal(now[name], value) for name, value in before.items() if name.startswith("backbone"))
    assert not torch.equal(now["head.weight"], before["head.weight"])
    moments = [value for one in network.backbone.parameters() for value in built.state[one].values()]
    assert all(not value.any() for value in moments)
    before = copy.deepcopy(now)
    step(network, frozen, built, 2)
    assert all(not torch.equal(value, before[name]) for name, value in network.state_dict().items() if "weight" in name or "mean" in name)


def test_both_ways_of_freezing_give_the_same_weights() -> None:
    states = []
    for skip_gradients in (True, False):
        network, config = Network(), TrainConfig(freeze=FreezeConfig(epochs=1, prefixes=("backbone.0", "backbone.1")))
        built, frozen = build_optimizer([network], config), Frozen(network, config.freeze, skip_gradients=skip_gradients)
        torch.manual_seed(1)
        for epoch in (0, 0, 1, 1):
            step(network, frozen, built, epoch)
        states.append(network.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_prefix_is_a_whole_part_of_a_name() -> None:
    network = nn.ModuleDict({"layer1": nn.Linear(1, 1), "layer10": nn.Linear(1, 1)})
    held = Frozen(network, FreezeConfig(epochs=1, prefixes=("layer1",)), skip_gradients=True).parameters
    assert {id(one) for one in held} == {id(one) for one in network["layer1"].parameters()}


def test_a_prefix_of_nothing_and_a_wholly_frozen_network_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no part of the network is called 'trunk'. There are: backbone, head"):
        Frozen(Network(), FreezeConfig(epochs=1, prefixes=("trunk",)), skip_gradients=True)
    with pytest.raises(ConfigError, match="the whole network is frozen"):
        Frozen(Network(), FreezeConfig(epochs=1, prefixes=("backbone", "head")), skip_gradients=True)


def test_nothing_is_frozen_by_default() -> None:
    assert Frozen(Network(), FreezeConfig(), skip_gradients=True).parameters == []
