from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, ModelConfig
from poseline.errors import ConfigError
from poseline.models.build import build_empty, build_model, build_network
from poseline.models.heads import SimccPose, entry_layers

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
    assert simple.deconv_layers[0].weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert simple.final_layer.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert simple.final_layer.bias.abs().max() == 0
    fast = build_model(ModelConfig(kind="fastpose", dcn=True), CodecConfig(), 17)
    assert fast.conv_out.weight.std().item() == pytest.approx(0.001, rel=0.05)
    offsets = [part for name, part in fast.named_modules() if name.endswith("conv2_offset")]
    assert len(offsets) == 6
    assert all(part.weight.abs().max() == 0 for part in offsets)
    hrnet = build_model(section("hrnet"), CodecConfig(), 17)
    convs = [part for part in hrnet.modules() if isinstance(part, nn.Conv2d)]
    assert all(conv.weight.std().item() == pytest.approx(0.001, rel=0.2) for conv in convs)


def test_attention_sits_in_the_first_block_of_each_stage_only() -> None:
    network = build_model(ModelConfig(kind="fastpose", backbone="resnet50"), CodecConfig(), 17)
    found = {name.rsplit(".se.", 1)[0] for name, _ in network.named_parameters() if ".se." in name}
    assert found == {f"preact.layer{stage}.0" for stage in (1, 2, 3, 4)}


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
        (ModelConfig(backbone="resnet20"), "udp", "'resnet20' does not go with"),
        (ModelConfig(kind="rtmpose"), "udp", "Set codec.kind to simcc"),
        (ModelConfig(backbone="timm/no_such_net"), "udp", "timm has no network 'no_such_net'"),
        (ModelConfig(deconv_channels=(64, 64)), "udp", "expected 3 counts for a trunk of stride 32, got [64, 64]"),
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


def test_no_keypoints_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one keypoint or more, got 0"):
        build_model(ModelConfig(), CodecConfig(), 0)


def test_simcc_layers_start_by_reading_a_peaks_place() -> None:
    """A peak of the map is the highest bin before any training: the layers start as sums of columns and rows."""
    head = SimccPose(nn.Identity(), map_hw=(32, 24), bins_xy=(192, 256))
    maps = torch.zeros(1, 1, 32, 24)
    maps[0, 0, 20, 6] = 1
    x, y = head(maps)
    assert x[0, 0].argmax().item() == round(6 * 191 / 23)
    assert y[0, 0].argmax().item() == round(20 * 255 / 31)
