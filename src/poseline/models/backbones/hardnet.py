"""HarDNet's harmonic dense blocks and its down-sampling trunk.

Reference:
    Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class HarDNetPlan:
    """Channels of the trunk.

    Attributes:
        stem: channels of the two first convolutions.
        channels: channels of the 1x1 convolution after each block; 0 for none.
        growth: growth rate of each block.
        depth: convolutions of each block.
        pool_after: whether the grid is halved after each block's 1x1 convolution.
        skip_nodes: indices of the layers whose maps the decoder takes.
        multiplier: harmonic growth of the channels of linked layers.
    """

    stem: tuple[int, int]
    channels: tuple[int, ...]
    growth: tuple[int, ...]
    depth: tuple[int, ...]
    pool_after: tuple[bool, ...]
    skip_nodes: tuple[int, int, int, int]
    multiplier: float = 1.7


PLANS = {
    "hardnet68": HarDNetPlan((32, 64), (128, 256, 320, 0), (14, 16, 20, 40), (8, 16, 16, 16), (True, False, True, False), (1, 3, 8, 11)),
    "hardnet85": HarDNetPlan(
        (48, 96),
        (192, 256, 320, 480, 0),
        (24, 24, 28, 36, 48),
        (8, 16, 16, 16, 16),
        (True, False, True, False, False),
        (1, 3, 8, 13),
    ),
}


class ConvNorm(nn.Module):
    """A convolution with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """The convolved features."""
        return self.relu(self.norm(self.conv(features)))


def harmonic_links(layer: int) -> list[int]:
    """Layers that feed layer 1, 2, ...: those 1, 2, 4, ... back for every power of two that divides it; 0 is the input.

    >>> harmonic_links(4), harmonic_links(6), harmonic_links(7)
    ([3, 2, 0], [5, 4], [6])
    """
    return [layer - step for step in (1 << power for power in range(layer.bit_length())) if layer % step == 0]


def harmonic_channels(layer: int, growth: int, multiplier: float) -> int:
    """Output channels of a layer: the growth rate times the multiplier for every factor of two in it, made even.

    >>> [harmonic_channels(layer, 14, 1.7) for layer in (1, 2, 4, 8)]
    [14, 24, 40, 68]
    """
    factors = (layer & -layer).bit_length() - 1
    return int(int(growth * multiplier**factors + 1) / 2) * 2


class HarmonicBlock(nn.Module):
    """3x3 convolutions linked harmonically; its output joins the odd layers and the last."""

    def __init__(self, in_channels: int, growth: int, multiplier: float, depth: int) -> None:
        super().__init__()
        counts = [in_channels, *(harmonic_channels(layer, growth, multiplier) for layer in range(1, depth + 1))]
        self.links = [harmonic_links(layer) for layer in range(1, depth + 1)]
        self.layers = nn.ModuleList(
            ConvNorm(sum(counts[link] for link in links), count, 3) for links, count in zip(self.links, counts[1:], strict=True)
        )
        self.kept = [layer for layer in range(1, depth + 1) if layer % 2 or layer == depth]
        self.out_channels = sum(counts[layer] for layer in self.kept)

    def forward(self, features: Tensor) -> Tensor:
        """The joined outputs."""
        outputs = [features]
        for links, layer in zip(self.links, self.layers, strict=True):
            outputs.append(layer(torch.cat([outputs[link] for link in links], dim=1)))
        return torch.cat([outputs[layer] for layer in self.kept], dim=1)


def harmonic_trunk(plan: HarDNetPlan) -> tuple[nn.ModuleList, list[int]]:
    """The layers of the trunk in order, and the channels of the maps at its skip nodes."""
    layers: list[nn.Module] = [
        ConvNorm(3, plan.stem[0], 3, stride=2),
        ConvNorm(plan.stem[0], plan.stem[1], 3),
        nn.AvgPool2d(3, stride=2, padding=1),
    ]
    widths = [plan.stem[0], plan.stem[1], plan.stem[1]]
    for count, growth, depth, pool in zip(plan.channels, plan.growth, plan.depth, plan.pool_after, strict=True):
        block = HarmonicBlock(widths[-1], growth, plan.multiplier, depth)
        layers.append(block)
        widths.append(block.out_channels)
        if count:
            layers.append(ConvNorm(block.out_channels, count, 1))
            widths.append(count)
        if pool:
            layers.append(nn.AvgPool2d(2))
            widths.append(widths[-1])
    return nn.ModuleList(layers), [widths[node] for node in plan.skip_nodes]
