"""ViTPose's decoders on a plain vision transformer.

Reference:
    Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, NeurIPS 2022.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.vit import PlainViT
from poseline.models.heads.base import Head, final_conv
from poseline.models.heads.deconv import deconv_layers


class ViTPoseHead(Head):
    """The decoder that ``model.decoder`` names.

    classic: two transposed convolutions of 256 channels and a 1x1 convolution; simple: ReLU, four times the grid by bilinear resizing,
    one 3x3 convolution.
    """

    backbone = PlainViT

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        channels = backbone.out_channels[-1]
        self.deconv_layers = deconv_layers(channels, (256, 256)) if model.decoder == "classic" else None
        self.final_layer = final_conv(256, codec.num_keypoints, 1) if self.deconv_layers else final_conv(channels, codec.num_keypoints, 3)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        if self.deconv_layers is not None:
            return self.final_layer(self.deconv_layers(features[-1]))
        resized = functional.interpolate(functional.relu(features[-1]), scale_factor=4, mode="bilinear", align_corners=False)
        return self.final_layer(resized)
