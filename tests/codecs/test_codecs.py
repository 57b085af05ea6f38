"""What the codecs promise one by one; their common laws are in tests/property."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseline.codecs.base import Codec, Targets
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, CombinedConfig, HeatmapConfig, IntegralConfig, SimccConfig
from poseline.core.skeletons import load_skeleton
from poseline.errors import ConfigError

INPUT_WH = (192, 256)
KINDS = ["heatmap", "udp", "integral", "combined", "simcc", "regression"]


def make(kind: str, *, num_keypoints: int = 4, **sections: object) -> Codec:
    config = CodecConfig.model_validate({"kind": kind, "combined": CombinedConfig(integral_last=2), **sections})
    return build_codec(config, num_keypoints=num_keypoints, input_wh=INPUT_WH)


def network_output(codec: Codec, batch: int, seed: int = 0) -> torch.Tensor | tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    made = tuple(torch.randn(batch, *shape, generator=rng) for shape in codec.output_shapes)
    return made if len(made) > 1 else made[0]


@pytest.mark.parametrize(
    ("kind", "geometry"),
    [*((kind, "unbiased") for kind in KINDS), *((kind, "published") for kind in KINDS if kind != "udp")],
)
def test_every_step_fits_the_next(kind: str, geometry: str) -> None:
    codec = make(kind, geometry=geometry)
    outputs = network_output(codec, 3)
    points, scores = codec.decode(codec.average(outputs, codec.flip(network_output(codec, 3, 1), np.array([0, 1, 3, 2]))))
    targets = codec.encode(torch.rand(3, 4, 2) * 190, torch.ones(3, 4))
    assert (points.shape, points.dtype, scores.shape) == ((3, 4, 2), torch.float32, (3, 4))
    assert targets.weights.shape == (3, 4)
    assert 0 <= codec.accuracy(outputs, targets).item() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_people_and_half_precision(kind: str) -> None:
    codec = make(kind)
    assert codec.decode(network_output(codec, 0))[0].shape == (0, 4, 2)
    outputs = network_output(codec, 2)
    low = outputs.bfloat16() if isinstance(outputs, torch.Tensor) else tuple(value.bfloat16() for value in outputs)
    points, scores = codec.decode(low)
    assert (points.dtype, scores.dtype) == (torch.float32, torch.float32)
    assert torch.isfinite(points).all()


@pytest.mark.parametrize("kind", KINDS)
def test_unlabelled_keypoints_have_no_weight_and_no_part_in_the_accuracy(kind: str) -> None:
    codec = make(kind)
    weights = torch.tensor([[1.0, 0, 1, 0]])
    keypoints = torch.tensor([[[50.0, 60], [0, 0], [100, 120], [0, 0]]])
    targets = codec.encode(keypoints, weights)
    assert torch.equal(targets.weights, weights)
    assert codec.accuracy(perfect_output(codec, keypoints), targets).item() == pytest.approx(1)


def perfect_output(codec: Codec, keypoints: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
    if codec.config.kind == "regression":
        return torch.cat([codec.encode(keypoints, torch.ones(1, 4)).values, torch.zeros(1, 4, 2)], dim=-1)
    if codec.config.kind == "simcc":
        return codec.encode(keypoints, torch.ones(1, 4)).values
    maps = make("udp").encode(keypoints, torch.ones(1, 4)).values
    return maps if codec.config.kind in ("heatmap", "udp") else 20 * maps - 10


@pytest.mark.parametrize("normalise", ["softmax", "sigmoid", "divide_sum"])
def test_integral_locates_a_sharp_map(normalise: str) -> None:
    codec = make("integral", integral=IntegralConfig(normalise=normalise))
    keypoints = torch.tensor([[[50.0, 60], [150, 30], [100, 120], [96, 200]]])
    maps = make("udp").encode(keypoints, torch.ones(1, 4)).values
    sharp = maps if normalise == "divide_sum" else 40 * maps - 20
    points, scores = codec.decode(sharp)
    assert (points - keypoints).abs().max() < 1
    assert (scores > 0.05).all()
    assert (scores <= 1).all()


def test_published_softmax_scores_are_one() -> None:
    codec = make("integral", geometry="published", integral=IntegralConfig(normalise="softmax"))
    assert codec.decode(network_output(codec, 1))[1].tolist() == [[1, 1, 1, 1]]


def test_integral_targets_are_crop_sizes_from_the_middle() -> None:
    corner = torch.tensor([[[191.0, 0.0]]])
    assert make("integral", num_keypoints=1).encode(corner, torch.ones(1, 1)).values.tolist() == [[[0.5, -0.5]]]
    published = make("integral", num_keypoints=1, geometry="published").encode(corner, torch.ones(1, 1)).values
    assert published[0, 0].tolist() == pytest.approx([191 / 192 - 0.5, -0.5])


def test_combined_is_heat_maps_then_integral() -> None:
    codec = make("combined")
    targets = codec.encode(torch.full((1, 4, 2), 80.0), torch.ones(1, 4))
    assert [tuple(value.shape) for value in targets.values] == [(1, 2, 64, 48), (1, 2, 2)]
    outputs = network_output(codec, 2)
    points, scores = codec.decode(outputs)
    body = make("heatmap", num_keypoints=2).decode(outputs[:, :2])
    rest = make("integral", num_keypoints=2).decode(outputs[:, 2:])
    assert torch.equal(points, torch.cat([body[0], rest[0]], dim=1))
    assert torch.equal(scores, torch.cat([body[1], rest[1]], dim=1))


def test_integral_flip_test_averages_coordinates() -> None:
    codec = make("integral")
    one, other = network_output(codec, 1), network_output(codec, 1, 1)
    points, scores = codec.decode(codec.average(one, other))
    torch.testing.assert_close(points, (codec.decode(one)[0] + codec.decode(other)[0]) / 2)
    torch.testing.assert_close(scores, (codec.decode(one)[1] + codec.decode(other)[1]) / 2)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0])
def test_simcc_bins_and_scores(ratio: float) -> None:
    codec = make("simcc", simcc=SimccConfig(split_ratio=ratio, score="raw"))
    assert codec.output_shapes == ((4, int(192 * ratio)), (4, int(256 * ratio)))
    x, y = torch.zeros(1, 4, int(192 * ratio)), torch.zeros(1, 4, int(256 * ratio))
    x[..., -1], y[..., 0] = 0.75, 0.5
    points, scores = codec.decode((x, y))
    torch.testing.assert_close(points[0, 0], torch.tensor([191.0, 0.0]))
    assert scores[0].tolist() == [0.5] * 4


def test_simcc_probability_is_one_for_a_label_and_low_for_noise() -> None:
    codec = make("simcc")
    label = codec.encode(torch.full((1, 4, 2), 95.5), torch.ones(1, 4)).values
    assert codec.decode(label)[1].min() > 0.9
    assert codec.decode((torch.zeros(1, 4, 384), torch.zeros(1, 4, 512)))[1].max() < 0.1


@pytest.mark.parametrize("kind", ["simcc", "integral"])
def test_scores_fall_as_the_outputs_widen(kind: str) -> None:
    """A score is how certain the network is of the location: near 1 for a sharp output, near 0 for one that spreads over the crop."""
    scores = []
    for sharpness in (1.0, 0.3, 0.1, 0.01):
        if kind == "simcc":
            codec = make(kind)
            scores.append(codec.decode(tuple(sharpness * axis for axis in perfect_output(codec, torch.full((1, 4, 2), 90.0))))[1].max())
        else:
            codec = make(kind, integral=IntegralConfig(normalise="softmax"))
            scores.append(codec.decode(sharpness * perfect_output(codec, torch.full((1, 4, 2), 90.0)))[1].max())
    assert scores[0] > 0.9
    assert scores[0] > scores[1] > scores[2] > scores[3]
    assert scores[3] < 0.1


@pytest.mark.parametrize("kind", ["heatmap", "simcc", "integral"])
def test_outputs_that_are_no_numbers_do_not_stop_decoding(kind: str) -> None:
    """Training reports a loss that is no number by itself; decoding such an output must not fail before."""
    codec = make(kind, integral=IntegralConfig(normalise="softmax"))
    outputs = network_output(codec, 1)
    for value in (outputs,) if isinstance(outputs, torch.Tensor) else outputs:
        value[:, 0] = torch.nan
    points, scores = codec.decode(outputs)
    assert torch.isfinite(points[:, 1:]).all()
    assert torch.isfinite(scores[:, 1:]).all()


def test_published_simcc_flip_is_exact_for_two_bins_a_pixel() -> None:
    codec = make("simcc", geometry="published")
    keypoints = torch.tensor([[[31.0, 40], [50, 60], [70, 80], [90, 100]]])
    flipped = codec.encode(torch.stack([191 - keypoints[..., 0], keypoints[..., 1]], dim=-1), torch.ones(1, 4)).values
    assert torch.equal(codec.decode(codec.flip(flipped, np.arange(4)))[0], keypoints)


@pytest.mark.parametrize("geometry", ["unbiased", "published"])
def test_regression_flip_is_exact(geometry: str) -> None:
    codec = make("regression", geometry=geometry)
    outputs = network_output(codec, 2)
    points, flipped = codec.decode(outputs)[0], codec.decode(codec.flip(outputs, np.arange(4)))[0]
    torch.testing.assert_close(flipped[..., 0], 191 - points[..., 0])


def test_regression_score_falls_with_the_spread() -> None:
    codec = make("regression")
    narrow, wide = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    narrow[..., 2:], wide[..., 2:] = -4, 4
    assert codec.decode(narrow)[1].min() > 0.95
    assert codec.decode(wide)[1].max() < 0.05


def test_outputs_of_another_head_are_named() -> None:
    pair = (torch.zeros(1, 4, 8), torch.zeros(1, 4, 8))
    with pytest.raises(ValueError, match="head does not fit"):
        make("udp").decode(pair)
    with pytest.raises(ValueError, match="head does not fit"):
        make("simcc").decode(torch.zeros(1, 4, 8))


@pytest.mark.parametrize(
    ("config", "num_keypoints", "input_wh", "message"),
    [
        (CodecConfig(), 17, (190, 256), r"model.input_wh: both sides must be multiples of 4, got \[190, 256\]"),
        (CodecConfig(kind="udp", geometry="published"), 17, INPUT_WH, "codec.geometry: udp is always unbiased"),
        (CodecConfig(kind="combined"), 17, INPUT_WH, "codec.combined.integral_last: expected less than the skeleton's 17"),
    ],
)
def test_misfits_are_config_errors(config: CodecConfig, num_keypoints: int, input_wh: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_codec(config, num_keypoints=num_keypoints, input_wh=input_wh)


def test_a_combined_border_inside_a_pair_is_refused() -> None:
    flip = load_skeleton("coco17").flip_permutation
    make("combined", num_keypoints=17, combined=CombinedConfig(integral_last=6)).check_pairs(flip)
    make("udp", num_keypoints=17, combined=CombinedConfig(integral_last=5)).check_pairs(flip)
    codec = make("combined", num_keypoints=17, combined=CombinedConfig(integral_last=5))
    with pytest.raises(ConfigError, match="5 parts keypoints 11 and 12"):
        codec.check_pairs(flip)


def test_refinements_order_by_precision() -> None:
    keypoints = torch.rand(8, 4, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([160.0, 220.0]) + 16
    errors = []
    for refine in ("none", "quarter", "dark"):
        codec = make("heatmap", heatmap=HeatmapConfig(refine=refine))
        points, _ = codec.decode(codec.encode(keypoints, torch.ones(8, 4)).values)
        errors.append((points - keypoints).norm(dim=-1).mean().item())
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_on_the_device_as_on_the_cpu(kind: str) -> None:
    codec = make(kind)
    keypoints = torch.rand(8, 4, 2, generator=torch.Generator().manual_seed(0)) * 190
    here, there = codec.encode(keypoints, torch.ones(8, 4)), codec.encode(keypoints.cuda(), torch.ones(8, 4).cuda())
    assert isinstance(there, Targets)
    torch.testing.assert_close(there.to("cpu").values, here.values, atol=1e-5, rtol=1e-5)
    outputs = network_output(codec, 8)
    device = outputs.cuda() if isinstance(outputs, torch.Tensor) else tuple(value.cuda() for value in outputs)
    flip = np.array([0, 1, 3, 2])
    wanted = codec.decode(codec.average(outputs, codec.flip(outputs, flip)))
    found = codec.decode(codec.average(device, codec.flip(device, flip)))
    torch.testing.assert_close(found[0].cpu(), wanted[0], atol=1e-2, rtol=0)
    torch.testing.assert_close(found[1].cpu(), wanted[1], atol=1e-4, rtol=1e-4)
