"""HarDNet trunk and decoder for pose: harmonic dense blocks, three steps up with skips, side channels to the end.

Reference:
    Chao et al., HarDNet: A Low Memory Traffic Network, ICCV 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseline.models.backbones.base import Backbone
from poseline.models.backbones.hardnet import PLANS, ConvNorm, HarDNetPlan, HarmonicBlock, harmonic_trunk


@dataclass(frozen=True)
class DecoderPlan:
    """Channels of the decoder.

    Attributes:
        bottom: channels before the coarsest block.
        bottom_growth: growth of that block.
        growth: growth of the block after each of the three steps up.
        depth: convolutions of those blocks.
        channels: channels that each step's 1x1 convolution hands to its block.
        side: further channels of each step that skip to the end.
        skips: how many of the steps join the trunk's map of their grid.
    """

    bottom: int
    bottom_growth: int
    growth: tuple[int, int, int]
    depth: tuple[int, int, int]
    channels: tuple[int, int, int]
    side: tuple[int, int, int]
    skips: int


DECODERS = {
    "hardnet68": DecoderPlan(192, 72, (48, 32, 20), (8, 8, 4), (224, 96, 64), (32, 32, 0), 2),
    "hardnet85": DecoderPlan(256, 80, (64, 48, 28), (8, 8, 4), (224, 160, 96), (32, 32, 0), 3),
}


def with_context(features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3*C h w"]:
    """The features, their 9x9 means and their shares of each channel's sum, side by side."""
    local = functional.avg_pool2d(features, 9, stride=1, padding=4)
    share = features / (features.sum(dim=(2, 3), keepdim=True) + 0.1)
    return torch.cat([features, local, share], dim=1)


class HarDNet(Backbone):
    """Trunk and decoder up to the last feature map, at stride 4."""

    strides = (4,)

    def __init__(self, name: str) -> None:
        super().__init__()
        plan: HarDNetPlan = PLANS[name]
        decoder = DECODERS[name]
        self.side, self.num_skips = decoder.side, decoder.skips
        self.base, skips = harmonic_trunk(plan)
        self.skip_nodes = plan.skip_nodes
        self.last_proj = ConvNorm(skips[-1], decoder.bottom, 1)
        self.last_pool = nn.AvgPool2d(2)
        self.last_blk = HarmonicBlock(3 * decoder.bottom, decoder.bottom_growth, plan.multiplier, 8)
        channels = self.last_blk.out_channels
        ups: list[nn.Module] = []
        blocks: list[nn.Module] = []
        for step in range(3):
            joined = skips[3 - step] if step < decoder.skips else 0
            ups.append(ConvNorm(channels + joined, decoder.channels[step] + decoder.side[step], 1))
            block = HarmonicBlock(3 * decoder.channels[step], decoder.growth[step], plan.multiplier, decoder.depth[step])
            channels = block.out_channels
            blocks.append(block)
        self.conv1x1_up = nn.ModuleList(ups)
        self.denseBlocksUp = nn.ModuleList(blocks)
        self.out_channels = (channels + sum(decoder.side),)

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
            if self.side[step]:
                out, side = out.split([out.shape[1] - self.side[step], self.side[step]], dim=1)
                sides.insert(0, side)
            out = block(with_context(out))
        return [torch.cat([*(resize(side, out) for side in sides), out], dim=1)]


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Features on another's grid, bilinear with matching corner centres."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=True)


class HarDNetPose(HarDNet):
    """Heat maps at a quarter of the input."""

    def __init__(self, name: str, num_keypoints: int) -> None:
        super().__init__(name)
        self.conv_out = nn.Sequential(
            nn.Conv2d(self.out_channels[-1], 128, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(128, num_keypoints, 1)
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:  # type: ignore[override]
        """One heat map a keypoint."""
        return self.conv_out(super().forward(images)[0])
