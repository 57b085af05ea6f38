"""HRNet's and HarDNet's heads: convolutions on the backbone's one map, which already has a quarter of the input's size."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.hardnet import HarDNet
from poseline.models.backbones.hrnet import HRNet
from poseline.models.heads.base import Head, final_conv


class HRNetHead(Head):
    """A 1x1 convolution. All convolutions, the backbone's included, are drawn again from N(0, 0.001), as HRNet's authors do."""

    backbone = HRNet

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        self.final_layer = final_conv(backbone.out_channels[-1], codec.num_keypoints, 1)
        for part in (*backbone.modules(), self.final_layer):
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.001)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        return self.final_layer(features[-1])


class HarDNetHead(Head):
    """A 3x3 convolution of 128 channels, ReLU and a 1x1 convolution."""

    backbone = HarDNet

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        self.conv_out = nn.Sequential(
            nn.Conv2d(backbone.out_channels[-1], 128, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(128, codec.num_keypoints, 1)
        )

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        return self.conv_out(features[-1])
