"""Optimiser groups, learning rates and averaged weights."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from poseline.config import CodecConfig, ModelConfig, ScheduleConfig, TrainConfig
from poseline.errors import ConfigError
from poseline.models.pose_model import build_model
from poseline.train.optim import AveragedWeights, build_optimizer, learning_rate, set_learning_rate


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def train_steps(network: nn.Module, average: AveragedWeights | AveragedModel, steps: int, seed: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.randn(2, 3, 6, 6, generator=generator)).square().mean().backward()
        optimizer.step()
        average.update(network) if isinstance(average, AveragedWeights) else average.update_parameters(network)


MADE = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}


@pytest.mark.parametrize(("kind", "made"), MADE.items())
def test_biases_and_norms_have_no_weight_decay(network: nn.Sequential, kind: str, made: type[torch.optim.Optimizer]) -> None:
    optimizer = build_optimizer([network], TrainConfig(optimizer=kind, weight_decay=0.3, learning_rate=0.02))
    assert isinstance(optimizer, made)
    assert isinstance(optimizer, torch.optim.AdamW) == (kind == "adamw")  # torch's is an Adam too
    decay = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    assert {name: decay[id(parameter)] for name, parameter in network.named_parameters()} == {
        "0.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.weight": 0.3, "2.bias": 0,
    }  # fmt: skip
    assert {group["lr"] for group in optimizer.param_groups} == {0.02}


def test_biases_and_norms_decay_where_wanted(network: nn.Sequential) -> None:
    optimizer = build_optimizer([network], TrainConfig(weight_decay=0.3, decay_norms=True))
    assert [(group["weight_decay"], len(group["params"])) for group in optimizer.param_groups] == [(0.3, 6)]


def one_step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    optimizer.zero_grad()
    network(torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed))).square().mean().backward()
    optimizer.step()


PLAIN = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.02, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.02, momentum=0.9, weight_decay=0.1),
}


@pytest.mark.parametrize("kind", MADE)
def test_steps_are_those_of_torchs_plain_optimiser(kind: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 1))  # no norm: a bias before one has a gradient of noise alone
    twin = copy.deepcopy(network)
    config = TrainConfig(optimizer=kind, learning_rate=0.02, weight_decay=0.1, decay_norms=True, nesterov=kind == "sgd")
    ours, plain = build_optimizer([network], config), PLAIN[kind](twin.parameters())
    for seed in range(5):
        one_step(network, ours, seed)
        one_step(twin, plain, seed)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", MADE)
def test_a_step_without_a_finite_loss_is_left_out(network: nn.Sequential, kind: str, first: bool) -> None:
    optimizer, twin = build_optimizer([network], TrainConfig(optimizer=kind, weight_decay=0.5)), copy.deepcopy(network)
    plain = build_optimizer([twin], TrainConfig(optimizer=kind, weight_decay=0.5))
    if not first:
        one_step(network, optimizer, 0)
        one_step(twin, plain, 0)
    before = copy.deepcopy(network.state_dict())
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items() if name.endswith(("weight", "bias")))
    optimizer.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
    one_step(network, optimizer, 1)
    one_step(twin, plain, 1)
    assert not torch.equal(network[0].weight, before["0.weight"])
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in network.state_dict().items())


def test_layers_of_a_vision_transformer_learn_slower_towards_the_image() -> None:
    model = build_model(ModelConfig(kind="vitpose", backbone="vit_tiny", input_wh=(32, 64)), CodecConfig(), 5)
    optimizer = build_optimizer([model], TrainConfig(layer_decay=0.75, weight_decay=0.1))
    set_learning_rate(optimizer, 2.0)
    found = {id(one): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for one in group["params"]}
    settings = {name: found[id(one)] for name, one in model.named_parameters()}
    assert settings["head.final_layer.weight"] == (2.0, 0.1)
    assert settings["backbone.vit.norm.weight"] == (2.0, 0.0)
    for block in range(12):
        assert settings[f"backbone.vit.blocks.{block}.mlp.fc1.weight"] == (pytest.approx(2.0 * 0.75 ** (12 - block)), 0.1)
        assert settings[f"backbone.vit.blocks.{block}.mlp.fc1.bias"][1] == 0
    assert settings["backbone.vit.patch_embed.proj.weight"] == (pytest.approx(2.0 * 0.75**13), 0.1)
    assert settings["backbone.vit.pos_embed"] == (pytest.approx(2.0 * 0.75**13), 0.0)


@pytest.mark.parametrize("backbone", ["resnet10", "cspnext_tiny"])
def test_layer_decay_of_another_network_is_refused(backbone: str) -> None:
    kind, codec = ("rtmpose", "simcc") if backbone.startswith("csp") else ("simplepose", "udp")
    model = build_model(ModelConfig(kind=kind, backbone=backbone, input_wh=(32, 64)), CodecConfig(kind=codec), 5)
    with pytest.raises(ConfigError, match=r"train\.layer_decay: only vision transformers"):
        build_optimizer([model], TrainConfig(layer_decay=0.9))


def test_frozen_weights_are_left_out_and_a_loss_with_weights_is_in(network: nn.Sequential) -> None:
    network[0].requires_grad_(False)
    loss = nn.Linear(2, 1)
    optimizer = build_optimizer([network, loss], TrainConfig())
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    wanted = [*network[1].parameters(), *network[2].parameters(), *loss.parameters()]
    assert held == {id(parameter) for parameter in wanted}


def test_decay_alone_shrinks_weights_and_leaves_biases(network: nn.Sequential) -> None:
    before = copy.deepcopy(network.state_dict())
    optimizer = build_optimizer([network], TrainConfig(optimizer="adamw", weight_decay=0.5, learning_rate=0.1))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(network[0].weight, before["0.weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(network[0].bias, before["0.bias"])
    assert torch.equal(network[1].weight, before["1.weight"])


def rates(config: TrainConfig, steps_per_epoch: int) -> list[float]:
    return [learning_rate(step, config, steps_per_epoch) for step in range(config.epochs * steps_per_epoch)]


def test_cosine_falls_from_the_first_to_the_final_rate() -> None:
    found = rates(TrainConfig(epochs=4, learning_rate=2.0, schedule=ScheduleConfig(kind="cosine", warmup_steps=0, final=0.05)), 25)
    assert found[0] == 2.0
    assert found[-1] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in pairwise(found))
    assert (found[49] + found[50]) / 2 == pytest.approx((2.0 + 0.1) / 2)


def test_warm_up_rises_linearly_to_the_schedule() -> None:
    found = rates(TrainConfig(epochs=1, learning_rate=1.0, schedule=ScheduleConfig(kind="constant", warmup_steps=4)), 6)
    assert found == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_steps_fall_at_the_beginning_of_their_epochs() -> None:
    schedule = ScheduleConfig(kind="step", warmup_steps=0, milestones=(1, 3), factor=0.5)
    assert rates(TrainConfig(epochs=4, learning_rate=8.0, schedule=schedule), 2) == [8, 8, 4, 4, 4, 4, 2, 2]


def test_one_step_in_all_has_the_first_rate() -> None:
    assert rates(TrainConfig(epochs=1, learning_rate=3.0, schedule=ScheduleConfig(kind="cosine", warmup_steps=0)), 1) == [3.0]


def test_every_group_gets_the_rate(network: nn.Sequential) -> None:
    optimizer = build_optimizer([network], TrainConfig())
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


def test_the_average_follows_its_formula(network: nn.Sequential) -> None:
    average = AveragedWeights(network, 0.98)
    wanted = network[0].weight.detach().double().clone()
    for update in range(1, 6):
        with torch.no_grad():
            network[0].weight.normal_()
            network[1].num_batches_tracked += 3
        average.update(network)
        decay = min(0.98, (1 + update) / (10 + update))
        wanted = decay * wanted + (1 - decay) * network[0].weight.detach().double()
    torch.testing.assert_close(average.state["0.weight"].double(), wanted, rtol=1e-5, atol=1e-6)
    assert average.state["1.num_batches_tracked"] == 15


def test_the_ramp_ends_at_the_decay(network: nn.Sequential) -> None:
    average = AveragedWeights(network, 0.5)
    average.num_updates = 1000
    before = average.state["2.bias"].clone()
    with torch.no_grad():
        network[2].bias += 1
    average.update(network)
    torch.testing.assert_close(average.state["2.bias"], before + 0.5)


def test_the_average_resumes_to_the_same_bits(network: nn.Sequential) -> None:
    average = AveragedWeights(network, 0.9)
    train_steps(network, average, 4, seed=1)
    resumed_network, saved = copy.deepcopy(network), copy.deepcopy(average.state_dict())
    train_steps(network, average, 4, seed=2)
    resumed = AveragedWeights(resumed_network, 0.9)
    resumed.load_state_dict(saved)
    train_steps(resumed_network, resumed, 4, seed=2)
    assert resumed.num_updates == average.num_updates == 8
    assert all(torch.equal(resumed.state[name], value) for name, value in average.state.items())


def test_the_average_has_the_bits_of_torchs_own(network: nn.Sequential) -> None:
    @torch.no_grad()
    def ramp(average: list[Tensor], current: list[Tensor], num_updates: Tensor) -> None:
        decay = min(0.98, (1 + int(num_updates)) / (10 + int(num_updates)))
        for old, new in zip(average, current, strict=True):
            old.lerp_(new, 1 - decay) if old.is_floating_point() else old.copy_(new)

    twin = copy.deepcopy(network)
    ours, theirs = AveragedWeights(network, 0.98), AveragedModel(twin, multi_avg_fn=ramp, use_buffers=True)
    theirs.n_averaged.fill_(1)  # at 0 its first update would copy
    train_steps(network, ours, 30, seed=3)
    train_steps(twin, theirs, 30, seed=3)
    expected = theirs.module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state.items())
