"""The plain vision transformer of ViTPose.

Reference:
    Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, NeurIPS 2022.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.timm import import_timm

VIT_SIZES = {
    "vit_tiny": (192, 12, 3),
    "vit_small": (384, 12, 12),
    "vit_base": (768, 12, 12),
    "vit_large": (1024, 24, 16),
    "vit_huge": (1280, 32, 16),
}
"""Name -> (channels, blocks, attention heads); the small one has twelve heads as published, timm's has six."""


class PlainViT(Backbone):
    """timm's vision transformer without class token, on 16-pixel patches that overlap the border by two pixels."""

    strides = (16,)

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(model)
        import_timm()
        from timm.models.vision_transformer import VisionTransformer

        channels, depth, heads = VIT_SIZES[model.backbone]
        self.out_channels = (channels,)
        width, height = model.input_wh
        self.grid_hw = (height // 16, width // 16)
        self.vit = VisionTransformer(
            img_size=(height, width),
            patch_size=16,
            embed_dim=channels,
            depth=depth,
            num_heads=heads,
            class_token=False,
            global_pool="",
            num_classes=0,
            drop_path_rate=model.drop_path,
        )
        self.vit.patch_embed.proj.padding = (2, 2)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """One map [B, C, H/16, W/16]."""
        tokens = self.vit.forward_features(images)
        return [tokens.transpose(1, 2).unflatten(2, self.grid_hw).contiguous()]
