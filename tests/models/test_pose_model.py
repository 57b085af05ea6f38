from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, ModelConfig, load_params
from poseline.errors import ConfigError
from poseline.models.heads.shuffle import entry_layers
from poseline.models.heads.simcc import SimccHead
from poseline.models.pose_model import build_empty, build_model, build_network

SMALL = {
    "simplepose": {"backbone": "resnet18", "width": 0.25, "deconv_channels": (32, 32, 32)},
    "fastpose": {"backbone": "resnet34", "width": 0.25, "conv_dim": 32},
    "fastpose_duc": {"backbone": "shuffle_resnet18", "width": 0.25},
    "hrnet": {"backbone": "hrnet_w32"},
    "hardnet": {"backbone": "hardnet68"},
    "vitpose": {"backbone": "vit_tiny"},
    "rtmpose": {"backbone": "cspnext_tiny"},
}
CODECS = {17: "heatmap", 16: "udp", 26: "integral", 133: "combined", 136: "simcc", 21: "regression"}
"""Number of keypoints -> a codec to try it with."""


def section(kind: str, **changes: object) -> ModelConfig:
    return ModelConfig.model_validate({"kind": kind, "input_wh": (32, 64), **SMALL[kind], **changes})


def shapes(outputs: Tensor | tuple[Tensor, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(part.shape[1:]) for part in ((outputs,) if isinstance(outputs, Tensor) else outputs))


@pytest.mark.parametrize("num_keypoints", CODECS)
@pytest.mark.parametrize("kind", SMALL)
def test_outputs_have_the_shapes_that_the_codec_decodes_for_every_skeleton(kind: str, num_keypoints: int) -> None:
    bins_only = kind == "rtmpose" and num_keypoints != 21
    codec = CodecConfig(kind="simcc" if bins_only else CODECS[num_keypoints])
    model = section(kind)
    with torch.inference_mode():
        outputs = build_model(model, codec, num_keypoints).eval()(torch.randn(2, 3, 64, 32))
    assert shapes(outputs) == build_codec(codec, num_keypoints=num_keypoints, input_wh=model.input_wh).output_shapes


@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_runs_and_learns_on_the_processor(kind: str) -> None:
    torch.manual_seed(0)
    coding = CodecConfig(kind="simcc" if kind == "rtmpose" else "heatmap")
    network = build_model(section(kind), coding, 17)
    outputs = network(torch.randn(2, 3, 64, 32))
    total = sum(part.square().sum() for part in ((outputs,) if isinstance(outputs, Tensor) else outputs))
    assert isinstance(total, Tensor)
    assert torch.isfinite(total)
    total.backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert idle == []


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
@pytest.mark.parametrize("kind", ["simplepose", "fastpose", "fastpose_duc"])
def test_every_resnet_carries_every_head(kind: str, backbone: str) -> None:
    with torch.device("meta"):
        network = build_network(ModelConfig(kind=kind, backbone=backbone, input_wh=(64, 96)), CodecConfig(kind="udp"), 17)
        assert network.eval()(torch.empty(1, 3, 96, 64)).shape == (1, 17, 24, 16)


@pytest.mark.parametrize("kind", ["simplepose", "fastpose"])
def test_timm_networks_carry_the_heads(kind: str) -> None:
    for name in ("lcnet_035", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"):
        model = ModelConfig(kind=kind, backbone=f"timm/{name}", input_wh=(64, 96))
        for codec in ("udp", "simcc"):
            network = build_model(model, CodecConfig(kind=codec), 16).eval()
            with torch.inference_mode():
                found = shapes(network(torch.randn(1, 3, 96, 64)))
            assert found == build_codec(CodecConfig(kind=codec), num_keypoints=16, input_wh=(64, 96)).output_shapes


def test_the_pyramid_head_is_light_and_of_the_same_shape() -> None:
    model = ModelConfig(head="pyramid", deconv_channels=(64,), input_wh=(64, 96))
    standard = build_model(ModelConfig(input_wh=(64, 96)), CodecConfig(), 17)
    light = build_model(model, CodecConfig(), 17)
    image = torch.randn(1, 3, 96, 64)
    assert light(image).shape == standard(image).shape
    assert sum(p.numel() for p in light.parameters()) < 0.75 * sum(p.numel() for p in standard.parameters())


@pytest.mark.parametrize(("channels", "stride"), [(100, 32), (100, 16), (512, 32), (384, 16)])
def test_entry_layers_take_any_channel_count_to_stride_sixteen(channels: int, stride: int) -> None:
    layers, count = entry_layers(channels, stride)
    out = layers(torch.randn(1, channels, 4, 3))
    assert out.shape == (1, count, 4 * stride // 16, 3 * stride // 16)
    assert count % 8 == 0


def test_initial_weights_follow_the_papers() -> None:
    torch.manual_seed(0)
    simple = build_model(ModelConfig(), CodecConfig(), 17)
    assert simple.head.deconv_layers[0].weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert simple.head.final_layer.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert simple.head.final_layer.bias.abs().max() == 0
    fast = build_model(ModelConfig(kind="fastpose", dcn=True), CodecConfig(), 17)
    assert fast.head.conv_out.weight.std().item() == pytest.approx(0.001, rel=0.05)
    offsets = [part for name, part in fast.named_modules() if name.endswith("conv2_offset")]
    assert len(offsets) == 6
    assert all(part.weight.abs().max() == 0 for part in offsets)
    hrnet = build_model(section("hrnet"), CodecConfig(), 17)
    convs = [part for part in hrnet.modules() if isinstance(part, nn.Conv2d)]
    assert all(conv.weight.std().item() == pytest.approx(0.001, rel=0.2) for conv in convs)


def test_attention_sits_in_the_first_block_of_each_stage_only() -> None:
    network = build_model(ModelConfig(kind="fastpose", backbone="resnet50"), CodecConfig(), 17)
    found = {name.rsplit(".se.", 1)[0] for name, _ in network.named_parameters() if ".se." in name}
    assert found == {f"backbone.layer{stage}.0" for stage in (1, 2, 3, 4)}


def test_an_empty_network_draws_no_random_number_and_takes_all_its_values_from_the_caller() -> None:
    model, codec = section("vitpose"), CodecConfig()
    source = build_model(model, codec, 17).eval()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    network = build_empty(model, codec, 17).eval()
    assert torch.equal(torch.random.get_rng_state(), before)
    network.load_state_dict(source.state_dict())
    assert {name for name, _ in network.named_buffers()} <= set(network.state_dict())
    image = torch.randn(1, 3, 64, 32)
    assert torch.equal(network(image), source(image))


@pytest.mark.parametrize(
    ("model", "codec", "says"),
    [
        (ModelConfig(kind="hrnet"), "udp", "'resnet18' does not go with model.kind 'hrnet'. Choose one of hrnet_w32, hrnet_w48"),
        (ModelConfig(kind="rtmpose"), "udp", "Set codec.kind to simcc"),
        (ModelConfig(backbone="timm/no_such_net"), "udp", "timm has no network 'no_such_net'"),
        (ModelConfig(deconv_channels=(64, 64)), "udp", "expected 3 counts for a backbone of stride 32, got [64, 64]"),
        (ModelConfig(kind="hrnet", backbone="hrnet_w32", dcn=True), "udp", "model.dcn: only ResNets have it"),
        (ModelConfig(kind="vitpose", backbone="vit_tiny", width=0.5), "udp", "model.width: only ResNets have it"),
        (ModelConfig(kind="fastpose_duc", backbone="shuffle_resnet50", dcn=True), "udp", "take se_resnet50"),
        (ModelConfig(kind="hrnet", backbone="hrnet_w32", head="pyramid"), "udp", "Set it to standard"),
        (ModelConfig(kind="fastpose_duc", backbone="timm/vit_tiny_patch16_224"), "udp", "ends at 16"),
        (ModelConfig(kind="hrnet"), "regression", "Choose one of hrnet_w32"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_on_one_line(model: ModelConfig, codec: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_model(model, CodecConfig(kind=codec), 17)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"backbone": "resnet20"}, "unknown kind 'resnet20'. Did you mean 'resnet"), ({"kind": "simplepos"}, "Did you mean 'simplepose'")],
)
def test_unknown_names_are_refused_by_the_configuration(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelConfig.model_validate(changes)


def test_a_general_head_goes_on_any_backbone_whose_stride_fits() -> None:
    for backbone in ("hrnet_w32", "hardnet68", "vit_tiny"):
        network = build_model(ModelConfig(backbone=backbone, input_wh=(64, 96)), CodecConfig(), 17).eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, 96, 64)).shape == (1, 17, 24, 16)


def test_no_keypoints_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one keypoint or more, got 0"):
        build_model(ModelConfig(), CodecConfig(), 0)


@pytest.mark.usefixtures("unchecked")
def test_simcc_layers_start_by_reading_a_peaks_place() -> None:
    """A peak of the map is the highest bin before any training: the layers start as sums of columns and rows."""
    codec = build_codec(CodecConfig(kind="simcc"), num_keypoints=1, input_wh=(96, 128))
    head = SimccHead(nn.Identity(), codec)
    maps = torch.zeros(1, 1, 32, 24)
    maps[0, 0, 20, 6] = 1
    x, y = head(maps)
    assert x[0, 0].argmax().item() == round(6 * 191 / 23)
    assert y[0, 0].argmax().item() == round(20 * 255 / 31)


def fingerprint(network: nn.Module) -> float:
    """A number that changes when any tensor's values, or the order of the tensors, change."""
    return sum(index * tensor.double().sum().item() for index, tensor in enumerate(network.state_dict().values(), 1))


DRAWN = {
    "mini": (245495.77370770887, 0.5958936214447021),
    "simplepose": (263353.53707232827, 0.6418594121932983),
    "fastpose": (833495.3911353073, 0.19290810823440552),
    "fastpose_duc": (343917.14948674134, 0.7505708932876587),
    "hrnet": (53604472.582686976, 0.007143080234527588),
    "hardnet": (4528796.238183108, 0.7405977845191956),
    "vitpose": (578407.0161062749, 0.7439127564430237),
    "rtmpose": (1244088.6507612772, 0.49109792709350586),
}
"""Fingerprints of the networks as they were drawn when heads and backbones were still one class."""


@pytest.mark.parametrize("name", DRAWN)
def test_the_order_of_the_random_draws_of_new_weights_does_not_change(name: str) -> None:
    """It decides the initial weights, hence every bit of a training."""
    if name == "mini":
        params = load_params(Path(__file__).parents[2] / "params.yaml")
        model, codec, num_keypoints = params.model, params.codec, 21
    else:
        model, codec, num_keypoints = section(name), CodecConfig(kind="simcc"), 17
    torch.manual_seed(7)
    network = build_model(model, codec, num_keypoints)
    assert fingerprint(network) == pytest.approx(DRAWN[name][0], rel=1e-6)
    assert torch.rand(1).item() == DRAWN[name][1]
