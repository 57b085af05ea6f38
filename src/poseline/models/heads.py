"""Heads: from feature maps to heat maps, to two classifications (SimCC) or to coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.models.backbones.base import Backbone


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


def final_conv(in_channels: int, num_keypoints: int, kernel: int) -> nn.Conv2d:
    """The convolution that ends in one map a keypoint; weights drawn from N(0, 0.001), biases zero."""
    conv = nn.Conv2d(in_channels, num_keypoints, kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=0.001)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def entry_layers(channels: int, stride: int) -> tuple[nn.Module, int]:
    """The layers that bring a trunk's last map to stride 16, and the channels after them (a multiple of eight).

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


class PyramidHead(nn.Module):
    """A light head: every stage of the trunk is brought to a few channels and added up, coarse to fine.

    It costs a tenth of three transposed convolutions and sees the trunk's fine maps, which suits training on a CPU.

    Reference: Lin et al., Feature Pyramid Networks, CVPR 2017.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, channels, 1, bias=False), nn.BatchNorm2d(channels)) for count in in_channels
        )
        self.smooth = nn.ModuleList(separable_conv(channels) for _ in in_channels)

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "B C h w"]:
        """One map at the finest stride among ``features``."""
        out: Tensor | None = None
        for lateral, smooth, stage in zip(reversed(self.lateral), reversed(self.smooth), reversed(features), strict=True):
            level = lateral(stage)
            if out is not None:
                level = level + functional.interpolate(out, size=level.shape[-2:], mode="nearest")
            out = smooth(functional.relu(level))
        assert out is not None
        return out


def separable_conv(channels: int) -> nn.Sequential:
    """A depthwise 3x3 and a pointwise convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class SimccPose(nn.Module):
    """A heat-map network whose maps are read by two shared linear layers: one over x bins, one over y bins.

    The layers start as the sums over the map's columns and over its rows, so that a peak of the map is a peak of the bins
    from the first step on; from random weights, where things are has to be learned first.

    Reference: Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022.
    """

    def __init__(self, network: nn.Module, *, map_hw: tuple[int, int], bins_xy: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        cells = map_hw[0] * map_hw[1]
        self.norm = nn.LayerNorm(cells)
        self.x = nn.Linear(cells, bins_xy[0])
        self.y = nn.Linear(cells, bins_xy[1])
        read_sums(self.x, map_hw, axis=1)
        read_sums(self.y, map_hw, axis=0)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B K Wb"], Float[Tensor, "B K Hb"]]:
        """Logits over the x bins and over the y bins."""
        # Final maps start near zero (N(0, 0.001) weights); normalising each map lets the linear layers learn at once.
        maps = self.norm(self.network(images).flatten(2))
        return self.x(maps), self.y(maps)


@torch.no_grad()
def read_sums(layer: nn.Linear, map_hw: tuple[int, int], *, axis: int) -> None:
    """Set a layer over flat maps to their sums along one axis (0: each row's, 1: each column's), interpolated to its bins."""
    cells, bins = map_hw[axis], layer.out_features
    places = torch.linspace(0, cells - 1, bins)
    shares = (1 - (places[:, None] - torch.arange(cells)).abs()).clamp(min=0)
    spread = shares[:, :, None].expand(-1, -1, map_hw[1]) if axis == 0 else shares[:, None, :].expand(-1, map_hw[0], -1)
    layer.weight.copy_(spread.flatten(1) / math.sqrt(layer.in_features))
    layer.bias.zero_()


class RegressionPose(nn.Module):
    """Coordinates and their spread from the mean of the trunk's last map.

    Reference: Li et al., Human Pose Regression with Residual Log-likelihood Estimation, ICCV 2021.
    """

    def __init__(self, backbone: Backbone, num_keypoints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.coordinates = nn.Linear(backbone.out_channels[-1], num_keypoints * 4)
        nn.init.normal_(self.coordinates.weight, std=0.01)
        nn.init.zeros_(self.coordinates.bias)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K 4"]:
        """For each keypoint x and y from the middle in crop sizes, and their spreads before a sigmoid."""
        return self.coordinates(self.backbone(images)[-1].mean(dim=(2, 3))).unflatten(1, (-1, 4))
