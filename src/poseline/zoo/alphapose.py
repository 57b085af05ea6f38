"""AlphaPose (Machine Vision and Intelligence Group, Shanghai Jiao Tong University)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poseline.config import CodecConfig, ModelConfig, NormaliseConfig
from poseline.config.network import IntegralConfig
from poseline.zoo.presets import BARE, HEAD_LAYERS, PUBLISHED_HEATMAP, Preset, replace_model

LICENCE = "academic or non-profit, non-commercial research"

# Its programs subtract blue-green-red means from red-green-blue channels and divide by nothing; the weights need that.
NORMALISE = NormaliseConfig(mean=(0.406, 0.457, 0.480), std=(1.0, 1.0, 1.0))
INTEGRAL = CodecConfig(kind="integral", geometry="published", integral=IntegralConfig(normalise="sigmoid"))
COMBINED = CodecConfig(kind="combined", geometry="published", heatmap=PUBLISHED_HEATMAP.heatmap, integral=INTEGRAL.integral)
PREACT = (
    (rf"^(?!preact\.|{HEAD_LAYERS})", "foreign."),
    (r"^preact\.", "backbone."),
    (rf"^(?={HEAD_LAYERS})", "head."),
)

YOLO_FLIP = "AP, COCO val2017, YOLOv3-SPP boxes, flip test, no pose NMS"
HALPE = "AP, Halpe-136 val, flip test not stated"
WHOLEBODY = "AP, COCO-WholeBody val"
MIXED = "AP, Halpe and COCO-WholeBody together"


def list_presets() -> Iterator[Preset]:
    """The networks of its model zoo."""
    plain = ModelConfig(backbone="resnet50", normalise=NORMALISE)
    fast = replace_model(plain, kind="fastpose")
    dcn = replace_model(fast, dcn=True)
    wide, wide_dcn = replace_model(fast, conv_dim=256), replace_model(dcn, conv_dim=256)
    duc = replace_model(plain, kind="fastpose_duc", backbone="shuffle_resnet50")
    coco = Preset("", LICENCE, plain, PUBLISHED_HEATMAP, PREACT, score="published", protocol=YOLO_FLIP)
    yield replace(coco, name="alphapose/simplepose-r50", metric=0.706)
    yield replace(coco, name="alphapose/fastpose-r50", model=fast, metric=0.720)
    yield replace(coco, name="alphapose/fastpose-dcn-r50", model=dcn, metric=0.728)
    yield replace(coco, name="alphapose/fastpose-duc-r50", model=duc, metric=0.724)
    yield replace(coco, name="alphapose/fastpose-duc-r152", model=replace_model(duc, backbone="se_resnet152"), metric=0.733)
    bare = replace(coco, renames=BARE)
    yield replace(bare, name="alphapose/hrnet-w32", model=replace_model(plain, kind="hrnet", backbone="hrnet_w32"), metric=0.725)
    for size in ("68", "85"):
        model = replace_model(plain, kind="hardnet", backbone=f"hardnet{size}")
        yield replace(bare, name=f"alphapose/hardnet{size}", model=model, protocol="")
    yield replace(coco, name="alphapose/fastpose-halpe26", model=fast, skeleton="halpe26", protocol="")
    halpe = replace(coco, model=wide, skeleton="halpe136", protocol=HALPE)
    yield replace(halpe, name="alphapose/fastpose-halpe136", metric=0.417)
    yield replace(halpe, name="alphapose/fastpose-halpe136-integral", codec=INTEGRAL, metric=0.441)
    yield replace(halpe, name="alphapose/fastpose-dcn-halpe136-integral", model=wide_dcn, codec=INTEGRAL, metric=0.462)
    yield replace(halpe, name="alphapose/fastpose-dcn-halpe136-combined", model=wide_dcn, codec=COMBINED, metric=0.472)
    mixed = replace(halpe, protocol=MIXED)
    yield replace(mixed, name="alphapose/fastpose-multidomain136-integral", codec=INTEGRAL, metric=0.501)
    yield replace(mixed, name="alphapose/fastpose-dcn-multidomain136-combined", model=wide_dcn, codec=COMBINED, metric=0.498)
    whole = replace(halpe, skeleton="wholebody133", protocol=WHOLEBODY)
    yield replace(whole, name="alphapose/fastpose-wholebody133-integral", codec=INTEGRAL, metric=0.554)
    yield replace(whole, name="alphapose/fastpose-dcn-wholebody133-combined", model=wide_dcn, codec=COMBINED, metric=0.582)
