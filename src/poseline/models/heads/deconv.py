"""SimplePose: transposed convolutions and a 1x1 convolution on the last feature map.

Reference:
    Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log2

from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone
from poseline.models.heads.base import Head, final_conv


class DeconvHead(Head):
    """Heat maps from the last feature map, whose grid each transposed convolution doubles."""

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        channels = deconv_channels(model, backbone.strides[-1])
        self.deconv_layers = deconv_layers(backbone.out_channels[-1], channels)
        self.final_layer = final_conv((*backbone.out_channels, *channels)[-1], codec.num_keypoints, 1)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        return self.final_layer(self.deconv_layers(features[-1]))


def deconv_channels(model: ModelConfig, stride: int) -> tuple[int, ...]:
    """Channels of the transposed convolutions that bring a map of that stride to a quarter of the input.

    A backbone of stride 16 takes the last two of three counts.

    Raises:
        ConfigError: too few counts, or more than three.
    """
    doublings = int(log2(stride // 4))
    given = model.deconv_channels
    if not doublings <= len(given) <= max(doublings, 3):
        raise ConfigError(f"model.deconv_channels: expected {doublings} counts for a backbone of stride {stride}, got {list(given)}")
    return given[len(given) - doublings :]


def deconv_layers(in_channels: int, channels: Sequence[int]) -> nn.Sequential:
    """Transposed 4x4 convolutions, each doubling the grid, with batch norm and ReLU; weights drawn from N(0, 0.001).

    Reference: Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise((in_channels, *channels)):
        conv = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        nn.init.normal_(conv.weight, std=0.001)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
