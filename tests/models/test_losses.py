from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from poseline.codecs.base import Codec, Outputs, Targets
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, CombinedConfig, LossConfig, SimccConfig
from poseline.errors import ConfigError
from poseline.models.losses import build_loss
from poseline.models.losses_coordinates import CouplingFlow, SymmetricExpectation

K = 4
KINDS = ["heatmap", "udp", "integral", "combined", "simcc", "regression"]


def make(kind: str, **sections: object) -> Codec:
    config = CodecConfig.model_validate({"kind": kind, "combined": CombinedConfig(integral_last=2), **sections})
    return build_codec(config, num_keypoints=K, input_wh=(48, 64))


def sample(codec: Codec, batch: int = 6, weights: torch.Tensor | None = None) -> tuple[Outputs, Targets]:
    rng = torch.Generator().manual_seed(5)
    made = tuple(torch.randn(batch, *shape, generator=rng).requires_grad_() for shape in codec.output_shapes)
    keypoints = torch.rand(batch, K, 2, generator=rng) * torch.tensor([47.0, 63.0])
    return (made if len(made) > 1 else made[0]), codec.encode(keypoints, torch.ones(batch, K) if weights is None else weights)


def part(values: Outputs, rows: slice) -> Outputs:
    return values[rows] if isinstance(values, torch.Tensor) else tuple(value[rows] for value in values)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_of_a_batch_is_the_mean_of_its_halves(kind: str) -> None:
    codec = make(kind)
    torch.manual_seed(0)
    weights = (torch.rand(6, K, generator=torch.Generator().manual_seed(1)) > 0.3).float()
    loss, (outputs, targets) = build_loss(LossConfig(), codec), sample(codec, weights=weights)
    halves = [
        loss(part(outputs, rows), Targets(part(targets.values, rows), targets.weights[rows])) for rows in (slice(0, 3), slice(3, 6))
    ]
    assert loss(outputs, targets).item() == pytest.approx(sum(half.item() for half in halves) / 2, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_unlabelled_keypoints_pull_at_nothing(kind: str) -> None:
    codec = make(kind)
    weights = torch.ones(6, K)
    weights[:, 1] = weights[:, 3] = 0
    outputs, targets = sample(codec, weights=weights)
    build_loss(LossConfig(), codec)(outputs, targets).backward()
    for output in (outputs,) if isinstance(outputs, torch.Tensor) else outputs:
        assert output.grad is not None
        assert (output.grad[:, [1, 3]] == 0).all()
        assert (output.grad[:, [0, 2]] != 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_keypoint_weights_scale_a_keypoints_gradient(kind: str) -> None:
    codec = make(kind)
    plain, targets = sample(codec)
    weighed, _ = sample(codec)
    torch.manual_seed(0)
    build_loss(LossConfig(), codec)(plain, targets).backward()
    torch.manual_seed(0)
    build_loss(LossConfig(keypoint_weights=(1, 2, 0.5, 0)), codec)(weighed, targets).backward()
    first, second = (value if isinstance(value, torch.Tensor) else value[0] for value in (plain, weighed))
    assert first.grad is not None
    assert second.grad is not None
    scale = torch.tensor([1, 2, 0.5, 0]).view(1, K, *[1] * (first.dim() - 2))
    torch.testing.assert_close(second.grad, first.grad * scale)


def test_mse_is_half_the_mean_over_all_elements() -> None:
    weights = torch.tensor([[1.0, 0, 1, 1]])
    outputs, targets = torch.full((1, K, 16, 12), 0.5), Targets(torch.zeros(1, K, 16, 12), weights)
    assert build_loss(LossConfig(), make("udp"))(outputs, targets).item() == pytest.approx(0.5 * 0.25 * 3 / 4)


def test_ohkm_counts_the_hardest() -> None:
    outputs = torch.tensor([1.0, 2, 3, 4]).view(1, K, 1, 1).expand(1, K, 16, 12)
    targets = Targets(torch.zeros(1, K, 16, 12), torch.ones(1, K))
    loss = build_loss(LossConfig(kind="ohkm", ohkm_topk=2), make("udp"))
    assert loss(outputs, targets).item() == pytest.approx(0.5 * (9 + 16) / 2)


def test_symmetric_expectation_pushes_by_sides() -> None:
    mass = torch.tensor([[0.0, 0.5, 0.5, 0.0]], requires_grad=True)
    mean = SymmetricExpectation.apply(mass)
    mean.sum().backward()
    assert mean.item() == 1.5
    assert mass.grad is not None
    assert mass.grad.tolist() == [[-2, -2, 2, 2]]
    beyond = torch.tensor([[3.0, 3.0]], requires_grad=True)
    SymmetricExpectation.apply(beyond).sum().backward()
    assert beyond.grad is not None
    assert beyond.grad.tolist() == [[2, 2]]


def test_integral_l1_descends_to_its_target() -> None:
    codec = make("integral")
    maps = torch.zeros(1, K, 16, 12, requires_grad=True)
    targets = codec.encode(torch.tensor([[[10.0, 50], [30, 20], [24, 32], [40, 10]]]), torch.ones(1, K))
    loss, optimiser = build_loss(LossConfig(), codec), torch.optim.Adam([maps], lr=0.2)
    for _ in range(120):
        optimiser.zero_grad()
        value = loss(maps, targets)
        value.backward()
        optimiser.step()
    assert value.item() < 0.25


def test_combined_is_the_weighed_sum_of_its_parts() -> None:
    codec = make("combined")
    outputs, targets = sample(codec)
    heatmaps, coordinates = targets.values
    body = 0.5 * (outputs[:, :2] - heatmaps).square().mean()
    integral = build_loss(LossConfig(), build_codec(CodecConfig(kind="integral"), num_keypoints=2, input_wh=(48, 64)))
    rest = integral(outputs[:, 2:], Targets(coordinates, targets.weights[:, 2:]))
    assert build_loss(LossConfig(), codec)(outputs, targets).item() == pytest.approx((100 * body + 0.01 * rest).item(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_simcc_divergence_is_zero_at_its_minimum_only(smoothing: float) -> None:
    codec = make("simcc", simcc=SimccConfig(label_smoothing=smoothing, temperature=5.0))
    _, targets = sample(codec)
    loss = build_loss(LossConfig(), codec)
    ideal = []
    for labels in targets.values:
        wanted = torch.softmax(5.0 * labels, dim=-1) * (1 - smoothing) + smoothing / labels.shape[-1]
        ideal.append(wanted.log() / 5.0 + 3.0)
    assert loss(tuple(ideal), targets).item() == pytest.approx(0, abs=1e-5)
    assert loss(tuple(0.8 * value for value in ideal), targets).item() > 1e-3


def test_flow_starts_as_the_normal_density() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    wanted = -0.5 * points.square().sum(dim=1) - math.log(2 * math.pi)
    torch.testing.assert_close(CouplingFlow().log_density(points), wanted)


def test_flow_is_a_density_once_trained_away_from_it() -> None:
    """It integrates to one whatever its weights are."""
    torch.manual_seed(0)
    flow = CouplingFlow(num_layers=4, hidden=8)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    axis = torch.linspace(-12, 12, 481)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    assert (flow.log_density(grid).exp().sum() * 0.05**2).item() == pytest.approx(1, abs=2e-3)


def test_flow_gradient() -> None:
    torch.manual_seed(0)
    flow = CouplingFlow(num_layers=2, hidden=4).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    assert gradcheck(flow.log_density, (torch.randn(3, 2, dtype=torch.double, requires_grad=True),))


def test_likelihood_learns_coordinates_and_spread() -> None:
    codec = make("regression")
    torch.manual_seed(0)
    loss = build_loss(LossConfig(), codec)
    noise = torch.tensor([0.01, 0.1]).repeat(2)[:, None]  # the spread of each keypoint's labels
    labels = torch.randn(64, K, 2) * noise + 0.2
    values = torch.zeros(1, K, 4, requires_grad=True)
    optimiser = torch.optim.Adam([{"params": [values], "lr": 0.05}, {"params": loss.parameters(), "lr": 1e-3}])
    for _ in range(120):
        optimiser.zero_grad()
        loss(values.expand(64, -1, -1), Targets(labels, torch.ones(64, K))).backward()
        optimiser.step()
    spread = values.detach()[0, :, 2:].sigmoid().mean(dim=1)
    torch.testing.assert_close(values.detach()[0, :, :2], labels.mean(dim=0), atol=0.03, rtol=0)
    assert (spread[[1, 3]] > 4 * spread[[0, 2]]).all()


@pytest.mark.parametrize(
    ("kind", "loss", "message"),
    [
        ("simcc", LossConfig(kind="mse"), "loss.kind: 'mse' does not fit codec.kind 'simcc'. Set loss.kind=auto"),
        ("udp", LossConfig(kind="rle"), "loss.kind: 'rle' does not fit codec.kind 'udp'"),
        ("udp", LossConfig(keypoint_weights=(1.0,)), "loss.keypoint_weights: expected 4 values, one a keypoint, got 1"),
        ("udp", LossConfig(kind="ohkm", ohkm_topk=5), "loss.ohkm_topk: expected at most the skeleton's 4 keypoints, got 5"),
    ],
)
def test_misfits_are_config_errors(kind: str, loss: LossConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_loss(loss, make(kind))
