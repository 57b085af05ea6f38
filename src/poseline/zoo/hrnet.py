"""Deep High-Resolution Representation Learning for Human Pose Estimation (Microsoft)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poseline.config import ModelConfig
from poseline.zoo.presets import BARE, COCO_56, MPII_PCKH, PUBLISHED_HEATMAP, Preset, replace_model

LICENCE = "MIT"


def list_presets() -> Iterator[Preset]:
    """Its networks on COCO and MPII."""
    base = Preset("", LICENCE, ModelConfig(kind="hrnet", backbone="hrnet_w32"), PUBLISHED_HEATMAP, BARE, protocol=COCO_56)
    # Networks of the larger input were trained with Gaussians half as wide again.
    wide = PUBLISHED_HEATMAP.model_copy(update={"heatmap": PUBLISHED_HEATMAP.heatmap.model_copy(update={"sigma": 3.0})})
    for width, small, large in ((32, 0.744, 0.758), (48, 0.751, 0.763)):
        model = replace_model(base.model, backbone=f"hrnet_w{width}")
        yield replace(base, name=f"hrnet/w{width}-coco-256x192", model=model, metric=small)
        yield replace(base, name=f"hrnet/w{width}-coco-384x288", model=replace_model(model, input_wh=(288, 384)), codec=wide, metric=large)
    mpii = replace_model(base.model, input_wh=(256, 256))
    yield replace(base, name="hrnet/w32-mpii-256x256", model=mpii, skeleton="mpii16", metric=0.903, protocol=MPII_PCKH)
