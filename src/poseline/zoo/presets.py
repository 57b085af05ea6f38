"""Published networks as data: how each is built, normalised, decoded and named, and what its authors report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from poseline.codecs.scores import ScoreRule
from poseline.config import CodecConfig, ModelConfig, NormaliseConfig
from poseline.config.network import HeatmapConfig, IntegralConfig, SimccConfig
from poseline.errors import ConfigError

Renames = tuple[tuple[str, str], ...]

FOREIGN = (r"^(?!backbone\.|head\.|keypoint_head\.)", "foreign.")
"""Keeps names outside a trunk and a head from fitting a preset whose files always have both."""


@dataclass(frozen=True)
class Preset:
    """A published network.

    Attributes:
        name: ``<family>/<network>``.
        model: the network, its input, padding and normalisation.
        codec: how its outputs become keypoints, in the geometry that it was trained in.
        skeleton: the keypoint set.
        num_keypoints: how many keypoints that is.
        score: how its authors score a person.
        flip: whether the published figure is with the flip test.
        renames: (pattern, replacement) pairs that turn published parameter names into ours, each applied once to all names.
        figure: the published figure, 0..1, or None.
        protocol: what that figure is.
    """

    name: str
    model: ModelConfig
    codec: CodecConfig
    skeleton: str
    num_keypoints: int
    score: ScoreRule
    flip: bool = True
    renames: Renames = ()
    figure: float | None = None
    protocol: str = ""


# The first family subtracts blue-green-red means from red-green-blue channels and divides by nothing; its weights need that.
ALPHAPOSE_NORMALISE = NormaliseConfig(mean=(0.406, 0.457, 0.480), std=(1.0, 1.0, 1.0))
LEGACY_HEATMAP = CodecConfig(kind="heatmap", geometry="legacy", heatmap=HeatmapConfig(sigma=2.0, centre="integer", refine="quarter"))
LEGACY_INTEGRAL = CodecConfig(kind="integral", geometry="legacy", integral=IntegralConfig(normalise="sigmoid"))
LEGACY_COMBINED = CodecConfig(kind="combined", geometry="legacy", heatmap=LEGACY_HEATMAP.heatmap, integral=LEGACY_INTEGRAL.integral)
UDP = CodecConfig(kind="udp", geometry="unbiased")
RTM_SIMCC = CodecConfig(kind="simcc", geometry="legacy", simcc=SimccConfig(split_ratio=2.0, sigma=4.9, refine="none"))

YOLO_FLIP = "AP, COCO val2017, YOLOv3-SPP boxes, flip test, no pose NMS"
HALPE = "AP, Halpe-136 val, flip test not stated"
WHOLEBODY = "AP, COCO-WholeBody val"
MIXED = "AP, Halpe and COCO-WholeBody together"
COCO_56 = "AP, COCO val2017, boxes of 56.4 AP, flip test"
MPII_PCKH = "PCKh@0.5, MPII single-person val, flip test"


MMPOSE_VIT: Renames = (
    FOREIGN,
    (r"^backbone\.patch_embed\.projection\.", "backbone.vit.patch_embed.proj."),
    (r"^backbone\.pos_embed$", "backbone.vit.pos_embed"),
    (r"^backbone\.ln1\.", "backbone.vit.norm."),
    (r"^backbone\.layers\.(\d+)\.ln1\.", r"backbone.vit.blocks.\1.norm1."),
    (r"^backbone\.layers\.(\d+)\.ln2\.", r"backbone.vit.blocks.\1.norm2."),
    (r"^backbone\.layers\.(\d+)\.attn\.", r"backbone.vit.blocks.\1.attn."),
    (r"^backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.", r"backbone.vit.blocks.\1.mlp.fc1."),
    (r"^backbone\.layers\.(\d+)\.ffn\.layers\.1\.", r"backbone.vit.blocks.\1.mlp.fc2."),
)
OWN_VIT: Renames = (
    FOREIGN,
    (r"^backbone\.(?:last_norm|norm)\.", "backbone.vit.norm."),
    (r"^backbone\.(patch_embed|pos_embed|blocks)(?=\.|$)", r"backbone.vit.\1"),
    (r"^keypoint_head\.", "head."),
)


def list_presets() -> list[str]:
    """Names of all presets."""
    return list(PRESETS)


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: there is none; names the closest.
    """
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, n=3, cutoff=0.4) or list(PRESETS)[:3]
        raise ConfigError(f"unknown preset '{name}'. Closest: {', '.join(close)}; `poseline models` lists all.")
    return PRESETS[name]


def _alphapose() -> Iterator[Preset]:
    plain = ModelConfig(backbone="resnet50", normalise=ALPHAPOSE_NORMALISE)
    fast = replace_model(plain, kind="fastpose")
    dcn = replace_model(fast, dcn=True)
    wide, wide_dcn = replace_model(fast, conv_dim=256), replace_model(dcn, conv_dim=256)
    duc = replace_model(plain, kind="fastpose_duc", backbone="shuffle_resnet50")
    coco = Preset("", plain, LEGACY_HEATMAP, "coco17", 17, score="reference", protocol=YOLO_FLIP)
    yield replace(coco, name="alphapose/simplepose-r50", figure=0.706)
    yield replace(coco, name="alphapose/fastpose-r50", model=fast, figure=0.720)
    yield replace(coco, name="alphapose/fastpose-dcn-r50", model=dcn, figure=0.728)
    yield replace(coco, name="alphapose/fastpose-duc-r50", model=duc, figure=0.724)
    yield replace(coco, name="alphapose/fastpose-duc-r152", model=replace_model(duc, backbone="se_resnet152"), figure=0.733)
    yield replace(coco, name="alphapose/hrnet-w32", model=replace_model(plain, kind="hrnet", backbone="hrnet_w32"), figure=0.725)
    for size in ("68", "85"):
        model = replace_model(plain, kind="hardnet", backbone=f"hardnet{size}")
        yield replace(coco, name=f"alphapose/hardnet{size}", model=model, protocol="")
    yield replace(coco, name="alphapose/fastpose-halpe26", model=fast, skeleton="halpe26", num_keypoints=26, protocol="")
    halpe = replace(coco, model=wide, skeleton="halpe136", num_keypoints=136, protocol=HALPE)
    yield replace(halpe, name="alphapose/fastpose-halpe136", figure=0.417)
    yield replace(halpe, name="alphapose/fastpose-halpe136-integral", codec=LEGACY_INTEGRAL, figure=0.441)
    yield replace(halpe, name="alphapose/fastpose-dcn-halpe136-integral", model=wide_dcn, codec=LEGACY_INTEGRAL, figure=0.462)
    yield replace(halpe, name="alphapose/fastpose-dcn-halpe136-combined", model=wide_dcn, codec=LEGACY_COMBINED, figure=0.472)
    mixed = replace(halpe, protocol=MIXED)
    yield replace(mixed, name="alphapose/fastpose-multidomain136-integral", codec=LEGACY_INTEGRAL, figure=0.501)
    yield replace(mixed, name="alphapose/fastpose-dcn-multidomain136-combined", model=wide_dcn, codec=LEGACY_COMBINED, figure=0.498)
    whole = replace(halpe, skeleton="wholebody133", num_keypoints=133, protocol=WHOLEBODY)
    yield replace(whole, name="alphapose/fastpose-wholebody133-integral", codec=LEGACY_INTEGRAL, figure=0.554)
    yield replace(whole, name="alphapose/fastpose-dcn-wholebody133-combined", model=wide_dcn, codec=LEGACY_COMBINED, figure=0.582)


def _simple_baselines() -> Iterator[Preset]:
    renames: Renames = ((r"^(?!deconv_layers|final_layer)", "preact."),)
    base = Preset(
        "", ModelConfig(backbone="resnet50"), LEGACY_HEATMAP, "coco17", 17, score="mean_visible", renames=renames, protocol=COCO_56
    )
    mpii = replace(base, skeleton="mpii16", num_keypoints=16, protocol=MPII_PCKH)
    for depth, ap, pckh in ((50, 0.704, 0.885), (101, 0.714, 0.891), (152, 0.720, 0.896)):
        model = replace_model(base.model, backbone=f"resnet{depth}")
        yield replace(base, name=f"simple-baselines/r{depth}-coco-256x192", model=model, figure=ap)
        yield replace(mpii, name=f"simple-baselines/r{depth}-mpii-256x256", model=replace_model(model, input_wh=(256, 256)), figure=pckh)


def _hrnet() -> Iterator[Preset]:
    model = ModelConfig(kind="hrnet", backbone="hrnet_w32")
    base = Preset("", model, LEGACY_HEATMAP, "coco17", 17, score="mean_visible", protocol=COCO_56)
    for width, small, large in ((32, 0.744, 0.758), (48, 0.751, 0.763)):
        model = replace_model(model, backbone=f"hrnet_w{width}")
        yield replace(base, name=f"hrnet/w{width}-coco-256x192", model=model, figure=small)
        # Networks of the larger input were trained with Gaussians half as wide again.
        codec = LEGACY_HEATMAP.model_copy(update={"heatmap": LEGACY_HEATMAP.heatmap.model_copy(update={"sigma": 3.0})})
        yield replace(base, name=f"hrnet/w{width}-coco-384x288", model=replace_model(model, input_wh=(288, 384)), codec=codec, figure=large)
    mpii = replace_model(model, backbone="hrnet_w32", input_wh=(256, 256))
    yield replace(base, name="hrnet/w32-mpii-256x256", model=mpii, skeleton="mpii16", num_keypoints=16, figure=0.903, protocol=MPII_PCKH)


def _mmpose() -> Iterator[Preset]:
    to_simple: Renames = (FOREIGN, (r"^backbone\.", "preact."), (r"^(?:keypoint_)?head\.", ""))
    to_bare: Renames = (
        FOREIGN,
        (r"^(?:backbone|(?:keypoint_)?head)\.", ""),
    )
    base = Preset("", ModelConfig(), LEGACY_HEATMAP, "coco17", 17, score="mean_visible", protocol=COCO_56)
    yield replace(base, name="mmpose/res50-coco-256x192", model=ModelConfig(backbone="resnet50"), renames=to_simple, figure=0.718)
    for width, ap in ((32, 0.749), (48, 0.756)):
        model = ModelConfig(kind="hrnet", backbone=f"hrnet_w{width}")
        yield replace(base, name=f"mmpose/hrnet-w{width}-coco-256x192", model=model, renames=to_bare, figure=ap)
    for size, ap in (("small", 0.739), ("base", 0.757), ("large", 0.782), ("huge", 0.788)):
        model = ModelConfig(kind="vitpose", backbone=f"vit_{size}")
        vit = replace(base, model=model, codec=UDP, figure=ap)
        yield replace(vit, name=f"mmpose/vitpose-{size}-coco-256x192", renames=MMPOSE_VIT)
        yield replace(
            vit,
            name=f"mmpose/vitpose-{size}-simple-coco-256x192",
            model=replace_model(model, decoder="simple"),
            renames=MMPOSE_VIT,
            figure=None,
            protocol="",
        )
        yield replace(vit, name=f"vitpose/{size}-coco-256x192", renames=OWN_VIT, figure=None, protocol="")
    for size, ap in (("tiny", 0.682), ("small", 0.716), ("medium", 0.746), ("large", 0.758)):
        model = ModelConfig(kind="rtmpose", backbone=f"cspnext_{size}")
        yield replace(base, name=f"mmpose/rtmpose-{size}-coco-256x192", model=model, codec=RTM_SIMCC, renames=(FOREIGN,), figure=ap)


def replace_model(model: ModelConfig, **changes: str | bool | int | tuple[int, int]) -> ModelConfig:
    """The same network with some values changed, checked again."""
    return ModelConfig.model_validate({**model.model_dump(), **changes})


PRESETS: dict[str, Preset] = {preset.name: preset for family in (_alphapose, _simple_baselines, _hrnet, _mmpose) for preset in family()}
"""Name -> published network."""
