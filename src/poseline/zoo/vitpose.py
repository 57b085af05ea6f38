"""ViTPose (Xu et al., the authors' own files)."""

from __future__ import annotations

from collections.abc import Iterator

from poseline.config import ModelConfig
from poseline.zoo.mmpose import UDP
from poseline.zoo.presets import FOREIGN, Preset

LICENCE = "Apache-2.0"

RENAMES = (
    FOREIGN,
    (r"^backbone\.(?:last_norm|norm)\.", "backbone.vit.norm."),
    (r"^backbone\.(patch_embed|pos_embed|blocks)(?=\.|$)", r"backbone.vit.\1"),
    (r"^keypoint_head\.", "head."),
)


def list_presets() -> Iterator[Preset]:
    """Its networks with the classic decoder on COCO."""
    for size in ("small", "base", "large", "huge"):
        model = ModelConfig(kind="vitpose", backbone=f"vit_{size}")
        yield Preset(f"vitpose/{size}-coco-256x192", LICENCE, model, UDP, RENAMES)
