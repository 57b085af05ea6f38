"""The light head: all feature maps brought to a few channels and added up, coarse to fine.

It costs a tenth of three transposed convolutions and sees the backbone's fine maps, which suits training on a CPU.

Reference:
    Lin et al., Feature Pyramid Networks, CVPR 2017.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.heads.base import Head, final_conv


class PyramidHead(Head):
    """Heat maps at the stride of the finest feature map, from all feature maps."""

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        channels = model.deconv_channels[-1]
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, channels, 1, bias=False), nn.BatchNorm2d(channels)) for count in backbone.out_channels
        )
        self.smooth = nn.ModuleList(separable_conv(channels) for _ in backbone.out_channels)
        self.final_layer = final_conv(channels, codec.num_keypoints, 1)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        out: Tensor | None = None
        for lateral, smooth, stage in zip(reversed(self.lateral), reversed(self.smooth), reversed(features), strict=True):
            level = lateral(stage)
            if out is not None:
                level = level + functional.interpolate(out, size=level.shape[-2:], mode="nearest")
            out = smooth(functional.relu(level))
        return self.final_layer(out)


def separable_conv(channels: int) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
