"""HarDNet for pose: harmonic dense blocks down to a coarse grid, three steps up with skips, side channels to the end.

Reference:
    Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone


@dataclass(frozen=True)
class HarDNetPlan:
    """Channels of the network.

    Attributes:
        stem: channels of the two first convolutions.
        channels: channels of the 1x1 convolution after each block; 0 for none.
        growth: growth rate of each block.
        skip_nodes: indices of the layers whose maps the way up takes.
        bottom: channels before the coarsest block, and the growth of that block.
        up_growth: growth of the block after each of the three steps up.
        up_channels: channels that each step's 1x1 convolution hands to its block.
        skips: how many of the steps up join the map of their grid from the way down.
    """

    stem: tuple[int, int]
    channels: tuple[int, ...]
    growth: tuple[int, ...]
    skip_nodes: tuple[int, int, int, int]
    bottom: tuple[int, int]
    up_growth: tuple[int, int, int]
    up_channels: tuple[int, int, int]
    skips: int


MULTIPLIER = 1.7
"""Harmonic growth of the channels of linked layers."""

DEPTH, POOLED = (8, 16, 16, 16, 16), (0, 2)
"""Convolutions of the blocks on the way down, and the blocks after which the grid is halved."""

UP_DEPTH = (8, 8, 4)
"""Convolutions of the blocks on the way up."""

SIDE = (32, 32, 0)
"""Further channels of each step up that skip to the end."""

PLANS = {
    "hardnet68": HarDNetPlan(
        (32, 64),
        (128, 256, 320, 0),
        (14, 16, 20, 40),
        (1, 3, 8, 11),
        bottom=(192, 72),
        up_growth=(48, 32, 20),
        up_channels=(224, 96, 64),
        skips=2,
    ),
    "hardnet85": HarDNetPlan(
        (48, 96),
        (192, 256, 320, 480, 0),
        (24, 24, 28, 36, 48),
        (1, 3, 8, 13),
        bottom=(256, 80),
        up_growth=(64, 48, 28),
        up_channels=(224, 160, 96),
        skips=3,
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


def harmonic_channels(layer: int, growth: int) -> int:
    """Output channels of a layer: the growth rate times the multiplier for every factor of two in it, made even.

    >>> [harmonic_channels(layer, 14) for layer in (1, 2, 4, 8)]
    [14, 24, 40, 68]
    """
    factors = (layer & -layer).bit_length() - 1
    return int(int(growth * MULTIPLIER**factors + 1) / 2) * 2


class HarmonicBlock(nn.Module):
    """3x3 convolutions linked harmonically; its output joins the odd layers and the last."""

    def __init__(self, in_channels: int, growth: int, depth: int) -> None:
        super().__init__()
        counts = [in_channels, *(harmonic_channels(layer, growth) for layer in range(1, depth + 1))]
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


def down_layers(plan: HarDNetPlan) -> tuple[nn.ModuleList, list[int]]:
    """The layers of the way down in order, and the channels of the maps at its skip nodes."""
    layers: list[nn.Module] = [
        ConvNorm(3, plan.stem[0], 3, stride=2),
        ConvNorm(plan.stem[0], plan.stem[1], 3),
        nn.AvgPool2d(3, stride=2, padding=1),
    ]
    widths = [plan.stem[0], plan.stem[1], plan.stem[1]]
    for index, (count, growth, depth) in enumerate(zip(plan.channels, plan.growth, DEPTH, strict=False)):
        block = HarmonicBlock(widths[-1], growth, depth)
        layers.append(block)
        widths.append(block.out_channels)
        if count:
            layers.append(ConvNorm(block.out_channels, count, 1))
            widths.append(count)
        if index in POOLED:
            layers.append(nn.AvgPool2d(2))
            widths.append(widths[-1])
    return nn.ModuleList(layers), [widths[node] for node in plan.skip_nodes]


def with_context(features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3*C h w"]:
    """The features, their 9x9 means and their fractions of each channel's sum, side by side."""
    local = functional.avg_pool2d(features, 9, stride=1, padding=4)
    fraction = features / (features.sum(dim=(2, 3), keepdim=True) + 0.1)
    return torch.cat([features, local, fraction], dim=1)


class HarDNet(Backbone):
    """The way down and up again, to one feature map at stride 4."""

    strides = (4,)

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(model)
        plan = PLANS[model.backbone]
        self.num_skips, self.skip_nodes = plan.skips, plan.skip_nodes
        self.base, skips = down_layers(plan)
        self.last_proj = ConvNorm(skips[-1], plan.bottom[0], 1)
        self.last_pool = nn.AvgPool2d(2)
        self.last_blk = HarmonicBlock(3 * plan.bottom[0], plan.bottom[1], 8)
        channels = self.last_blk.out_channels
        ups: list[nn.Module] = []
        blocks: list[nn.Module] = []
        for step, (count, growth, depth, side) in enumerate(zip(plan.up_channels, plan.up_growth, UP_DEPTH, SIDE, strict=True)):
            ups.append(ConvNorm(channels + (skips[3 - step] if step < plan.skips else 0), count + side, 1))
            block = HarmonicBlock(3 * count, growth, depth)
            channels = block.out_channels
            blocks.append(block)
        self.conv1x1_up = nn.ModuleList(ups)
        self.denseBlocksUp = nn.ModuleList(blocks)
        self.out_channels = (channels + sum(SIDE),)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """One map [B, C, H/4, W/4]."""
        skips: list[Tensor] = []
        out = images
        for index, layer in enumerate(self.base):
            out = layer(out)
            if index in self.skip_nodes:
                skips.append(out)
        out = self.last_blk(with_context(self.last_pool(self.last_proj(out))))
        sides: list[Tensor] = []
        for step, (up, block) in enumerate(zip(self.conv1x1_up, self.denseBlocksUp, strict=True)):
            skip = skips[3 - step]
            out = resize(out, skip)
            out = up(torch.cat([out, skip], dim=1) if step < self.num_skips else out)
            if SIDE[step]:
                out, side = out.split([out.shape[1] - SIDE[step], SIDE[step]], dim=1)
                sides.insert(0, side)
            out = block(with_context(out))
        return [torch.cat([*(resize(side, out) for side in sides), out], dim=1)]


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Features on another's grid, bilinear with matching corner centres."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)
