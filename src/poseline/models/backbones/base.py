"""What every trunk offers to a head."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Backbone(nn.Module):
    """Images to feature maps.

    Attributes:
        out_channels: channels of each feature map, finest first.
        strides: input pixels per cell of each feature map.
    """

    out_channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The feature maps [B, C_i, H / stride_i, W / stride_i], finest first."""
        raise TypeError(f"{type(self).__name__} defines no forward")


def scale_channels(channels: int, width: float) -> int:
    """Channels times the width multiplier, to the nearest multiple of eight but at least eight.

    >>> scale_channels(64, 1.0), scale_channels(64, 0.3)
    (64, 16)
    """
    return channels if width == 1 else max(8, int(channels * width / 8 + 0.5) * 8)


@torch.no_grad()
def reset_convolutions(module: nn.Module) -> None:
    """Draw every convolution by He's rule (fan out) and set every batch norm to one and zero, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
