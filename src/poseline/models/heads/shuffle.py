"""FastPose and FastPose-DUC: pixel shuffles and convolutions that double the grid.

Reference:
    Fang et al., AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in Real-Time, TPAMI 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec
from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone
from poseline.models.heads.base import Head, final_conv


class FastPoseHead(Head):
    """A pixel shuffle and two dense upsampling convolutions.

    ``model.conv_dim`` is the channels before the last convolution. With a 2048-channel backbone the grid doubles thrice on
    512, 256 and ``conv_dim`` channels; other backbones keep these ratios.
    """

    strides = (16, 32)

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        self.entry, channels = entry_layers(backbone.out_channels[-1], backbone.strides[-1])
        self.duc1 = DenseUpsampling(channels, 2 * channels)
        self.duc2 = DenseUpsampling(channels // 2, 4 * model.conv_dim)
        self.conv_out = final_conv(model.conv_dim, codec.num_keypoints, 3)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        return self.conv_out(self.duc2(self.duc1(self.entry(features[-1]))))


class FastPoseDucHead(Head):
    """Three shuffle stages of four, two and one convolutions, with channels in proportion to the backbone's."""

    strides = (32,)

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__(backbone, model, codec)
        quarter = backbone.out_channels[-1] // 4
        self.duc1 = shuffle_stage(4 * quarter, (quarter, quarter, quarter, 2 * quarter))
        self.duc2 = shuffle_stage(2 * quarter, (quarter // 2, quarter))
        self.duc3 = shuffle_stage(quarter, (quarter // 2,))
        self.conv_out = final_conv(quarter // 2, codec.num_keypoints, 3)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K h w"]:
        """One heat map a keypoint."""
        return self.conv_out(self.duc3(self.duc2(self.duc1(features[-1]))))


def entry_layers(channels: int, stride: int) -> tuple[nn.Module, int]:
    """The layers that bring a backbone's last map to stride 16, and the channels after them (a multiple of eight).

    At stride 32 a pixel shuffle moves channels into 2x2 cells. Channel counts that later shuffles cannot divide are
    first rounded up by a 1x1 convolution.
    """
    unit = 32 if stride == 32 else 8
    rounded = -(-channels // unit) * unit
    layers: list[nn.Module] = [] if rounded == channels else [nn.Conv2d(channels, rounded, 1)]
    if stride == 32:
        layers.append(nn.PixelShuffle(2))
    return nn.Sequential(*layers), rounded // 4 if stride == 32 else rounded


class DenseUpsampling(nn.Module):
    """A 3x3 convolution whose channels are dealt out as 2x2 cells: twice the grid, a quarter of the channels.

    Reference: Wang et al., Understanding Convolution for Semantic Segmentation, WACV 2018.
    """

    def __init__(self, in_channels: int, mid_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, mid_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(mid_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D 2*h 2*w"]:
        """Features on twice the grid."""
        return self.shuffle(self.relu(self.bn(self.conv(features))))


def shuffle_stage(in_channels: int, out_channels: Sequence[int]) -> nn.Sequential:
    """Pixel shuffle (twice the grid, a quarter of the channels), then 3x3 convolutions with batch norm and ReLU."""
    layers: list[nn.Module] = [nn.PixelShuffle(2)]
    for before, after in pairwise((in_channels // 4, *out_channels)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
