"""ViTPose: a plain vision transformer and a small decoder.

Reference:
    Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, NeurIPS 2022.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.models.backbones.base import Backbone
from poseline.models.backbones.timm import import_timm
from poseline.models.heads import deconv_layers, final_conv

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

    def __init__(self, name: str, *, input_wh: tuple[int, int], drop_path: float = 0.0) -> None:
        super().__init__()
        import_timm()
        from timm.models.vision_transformer import VisionTransformer

        channels, depth, heads = VIT_SIZES[name]
        self.out_channels = (channels,)
        self.grid_hw = (input_wh[1] // 16, input_wh[0] // 16)
        self.vit = VisionTransformer(
            img_size=(input_wh[1], input_wh[0]),
            patch_size=16,
            embed_dim=channels,
            depth=depth,
            num_heads=heads,
            class_token=False,
            global_pool="",
            num_classes=0,
            drop_path_rate=drop_path,
        )
        self.vit.patch_embed.proj.padding = (2, 2)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """One map [B, C, H/16, W/16]."""
        tokens = self.vit.forward_features(images)
        return [tokens.transpose(1, 2).unflatten(2, self.grid_hw).contiguous()]


class SimpleDecoder(nn.Module):
    """ReLU, four times the grid by bilinear resizing, one 3x3 convolution."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.final_layer = final_conv(in_channels, num_keypoints, 3)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K 4*h 4*w"]:
        """One heat map a keypoint."""
        resized = functional.interpolate(functional.relu(features), scale_factor=4, mode="bilinear", align_corners=False)
        return self.final_layer(resized)


class ClassicDecoder(nn.Module):
    """Two transposed convolutions of 256 channels and a 1x1 convolution."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.deconv_layers = deconv_layers(in_channels, (256, 256))
        self.final_layer = final_conv(256, num_keypoints, 1)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K 4*h 4*w"]:
        """One heat map a keypoint."""
        return self.final_layer(self.deconv_layers(features))


class ViTPose(nn.Module):
    """Heat maps at a quarter of the input."""

    def __init__(self, backbone: PlainViT, num_keypoints: int, *, decoder: Literal["classic", "simple"]) -> None:
        super().__init__()
        self.backbone = backbone
        build = ClassicDecoder if decoder == "classic" else SimpleDecoder
        self.head = build(backbone.out_channels[-1], num_keypoints)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:
        """One heat map a keypoint."""
        return self.head(self.backbone(images)[-1])
