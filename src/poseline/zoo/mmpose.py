"""MMPose (OpenMMLab)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poseline.config import CodecConfig, ModelConfig
from poseline.config.network import SimccConfig
from poseline.zoo.presets import COCO_56, FOREIGN, PUBLISHED_HEATMAP, Preset, replace_model

LICENCE = "Apache-2.0"

UDP = CodecConfig(kind="udp", geometry="unbiased")
SIMCC = CodecConfig(kind="simcc", geometry="published", simcc=SimccConfig(split_ratio=2.0, sigma=4.9, refine="none"))
PLAIN = (FOREIGN, (r"^keypoint_head\.", "head."))
VIT = (
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


def list_presets() -> Iterator[Preset]:
    """Its networks on COCO."""
    base = Preset("", LICENCE, ModelConfig(backbone="resnet50"), PUBLISHED_HEATMAP, PLAIN, protocol=COCO_56)
    yield replace(base, name="mmpose/res50-coco-256x192", metric=0.718)
    for width, ap in ((32, 0.749), (48, 0.756)):
        model = ModelConfig(kind="hrnet", backbone=f"hrnet_w{width}")
        yield replace(base, name=f"mmpose/hrnet-w{width}-coco-256x192", model=model, metric=ap)
    for size, ap in (("small", 0.739), ("base", 0.757), ("large", 0.782), ("huge", 0.788)):
        vit = replace(base, model=ModelConfig(kind="vitpose", backbone=f"vit_{size}"), codec=UDP, renames=VIT)
        yield replace(vit, name=f"mmpose/vitpose-{size}-coco-256x192", metric=ap)
        simple = replace_model(vit.model, decoder="simple")
        yield replace(vit, name=f"mmpose/vitpose-{size}-simple-coco-256x192", model=simple, protocol="")
    for size, ap in (("tiny", 0.682), ("small", 0.716), ("medium", 0.746), ("large", 0.758)):
        model = ModelConfig(kind="rtmpose", backbone=f"cspnext_{size}")
        rtm = replace(base, model=model, codec=SIMCC, renames=(FOREIGN,))
        yield replace(rtm, name=f"mmpose/rtmpose-{size}-coco-256x192", metric=ap)
