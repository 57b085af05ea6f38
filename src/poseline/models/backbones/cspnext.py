"""CSPNeXt, the backbone of RTMDet and RTMPose: cross-stage partial blocks with 5x5 depthwise convolutions.

Reference:
    Lyu et al., RTMDet: An Empirical Study of Designing Real-Time Object Detectors, 2022.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.config.network import ModelConfig
from poseline.models.backbones.base import Backbone, reset_convolutions

CSPNEXT_SCALES = {
    "cspnext_tiny": (0.167, 0.375),
    "cspnext_small": (0.33, 0.5),
    "cspnext_medium": (0.67, 0.75),
    "cspnext_large": (1.0, 1.0),
}
"""Name -> (multiplier of blocks, multiplier of channels)."""

STAGES = ((128, 3), (256, 6), (512, 6), (1024, 3))
"""Channels and blocks of each stage at full size."""


class ConvAct(nn.Module):
    """A convolution with batch norm and SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate = nn.SiLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """The convolved features."""
        return self.activate(self.bn(self.conv(features)))


class SeparableConvAct(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvAct(channels, channels, kernel, groups=channels)
        self.pointwise_conv = ConvAct(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """The convolved features."""
        return self.pointwise_conv(self.depthwise_conv(features))


class CspBlock(nn.Module):
    """A 3x3 convolution and a 5x5 separable one, around a shortcut where ``identity``."""

    def __init__(self, channels: int, *, identity: bool) -> None:
        super().__init__()
        self.conv1 = ConvAct(channels, channels, 3)
        self.conv2 = SeparableConvAct(channels, 5)
        self.identity = identity

    def forward(self, features: Tensor) -> Tensor:
        """The features after the block."""
        out = self.conv2(self.conv1(features))
        return out + features if self.identity else out


class ChannelGate(nn.Module):
    """Scales each channel by a gate from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """The gated features."""
        return features * nn.functional.hardsigmoid(self.fc(features.mean(dim=(2, 3), keepdim=True)))


class CspLayer(nn.Module):
    """Half of the channels go through blocks, the other half past them; gated and joined."""

    def __init__(self, channels: int, blocks: int, *, identity: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = ConvAct(channels, half, 1)
        self.short_conv = ConvAct(channels, half, 1)
        self.final_conv = ConvAct(2 * half, channels, 1)
        self.blocks = nn.Sequential(*(CspBlock(half, identity=identity) for _ in range(blocks)))
        self.attention = ChannelGate(2 * half)

    def forward(self, features: Tensor) -> Tensor:
        """The features after the layer."""
        joined = torch.cat([self.blocks(self.main_conv(features)), self.short_conv(features)], dim=1)
        return self.final_conv(self.attention(joined))


class PyramidPooling(nn.Module):
    """The features beside their maxima over 5, 9 and 13 cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvAct(channels, channels // 2, 1)
        self.poolings = nn.ModuleList(nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in (5, 9, 13))
        self.conv2 = ConvAct(channels // 2 * 4, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """The pooled features."""
        out = self.conv1(features)
        return self.conv2(torch.cat([out, *(pool(out) for pool in self.poolings)], dim=1))


class CspNext(Backbone):
    """Four stages at strides 4 to 32."""

    strides = (4, 8, 16, 32)

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(model)
        deepen, widen = CSPNEXT_SCALES[model.backbone]
        stem = int(64 * widen)
        self.stem = nn.Sequential(ConvAct(3, stem // 2, 3, stride=2), ConvAct(stem // 2, stem // 2, 3), ConvAct(stem // 2, stem, 3))
        self.out_channels = tuple(int(channels * widen) for channels, _ in STAGES)
        before = stem
        for index, (channels, (_, blocks)) in enumerate(zip(self.out_channels, STAGES, strict=True)):
            last = index == len(STAGES) - 1
            layers: list[nn.Module] = [ConvAct(before, channels, 3, stride=2)]
            if last:
                layers.append(PyramidPooling(channels))
            layers.append(CspLayer(channels, max(round(blocks * deepen), 1), identity=not last))
            self.add_module(f"stage{index + 1}", nn.Sequential(*layers))
            before = channels
        reset_convolutions(self)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The maps of the four stages, at strides 4, 8, 16 and 32."""
        out = self.stem(images)
        features: list[Tensor] = []
        for name in ("stage1", "stage2", "stage3", "stage4"):
            out = getattr(self, name)(out)
            features.append(out)
        return features
