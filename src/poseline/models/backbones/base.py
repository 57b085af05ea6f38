"""The base of all backbones, and the one that ``model.backbone`` names."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.config.network import BACKBONES, ModelConfig
from poseline.errors import ConfigError


class Backbone(nn.Module):
    """Images to feature maps.

    It is built, newly drawn, from a model section; ``model.weights`` is left aside. A backbone of another package is a subclass named
    by an entry point of the group ``poseline.backbones``.

    Attributes:
        resizable: whether it has the options ``model.width`` and ``model.dcn``.
        out_channels: channels of each feature map, finest first.
        strides: input pixels per cell of each feature map, 4 or more.
    """

    resizable: ClassVar[bool] = False
    out_channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The feature maps [B, C_i, H / stride_i, W / stride_i], finest first."""
        raise NotImplementedError


def build_backbone(model: ModelConfig, kind: type[Backbone] = Backbone) -> Backbone:
    """The newly drawn backbone that ``model.backbone`` names, which must be of a kind.

    Raises:
        ConfigError: it is of another kind, or an option is set that it does not have.
        BackendError: a package that is not installed.
    """
    found = BACKBONES.load_class(model.backbone_kind, Backbone)
    if not issubclass(found, kind):
        fitting = ", ".join(name for name in BACKBONES.names if issubclass(BACKBONES.load_class(name, Backbone), kind))
        raise ConfigError(f"model.backbone: '{model.backbone}' does not go with model.kind '{model.kind}'. Choose one of {fitting}.")
    if not found.resizable and (model.dcn or model.width != 1):
        option = "dcn" if model.dcn else "width"
        raise ConfigError(f"model.{option}: only ResNets have it, got backbone '{model.backbone}'. Leave it at its default.")
    return found(model)


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
