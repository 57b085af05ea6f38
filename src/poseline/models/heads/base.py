"""The base of all heads, and the convolution that most end in."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from poseline.codecs.base import Codec, Outputs
from poseline.config.network import ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone


class Head(nn.Module):
    """Feature maps to what a codec decodes.

    A head of another package is a subclass named by an entry point of the group ``poseline.heads``, with its options as ``Config``;
    ``__init__`` takes the same arguments.

    Attributes:
        outputs: what it gives: ``heatmaps`` [B, K, H/4, W/4], ``bins`` ([B, K, bins_x], [B, K, bins_y]), ``coordinates`` [B, K, 4], or a
            word of another package; a codec of the same ``outputs`` decodes it.
        backbone: the class of backbones that it goes on.
        strides: strides of the last feature map that it takes; empty for any.

    Args:
        backbone: gives the feature maps.
        model: the options.
        codec: what will decode the outputs; says their shapes.
    """

    outputs: ClassVar[str] = "heatmaps"
    backbone: ClassVar[type[Backbone]] = Backbone
    strides: ClassVar[tuple[int, ...]] = ()

    def __init__(self, backbone: Backbone, model: ModelConfig, codec: Codec) -> None:
        super().__init__()
        if self.strides and backbone.strides[-1] not in self.strides:
            expected = " or ".join(map(str, self.strides))
            raise ConfigError(
                f"model.backbone: {model.kind} expects a backbone of stride {expected}, '{model.backbone}' ends at {backbone.strides[-1]}. "
                "Choose another, or model.kind simplepose."
            )

    @classmethod
    def fits(cls, backbone: type[Backbone]) -> bool:
        """Whether the head goes on a class of backbones; where their strides are only known of an instance, ``__init__`` checks them."""
        strides = getattr(backbone, "strides", None)
        return issubclass(backbone, cls.backbone) and (not cls.strides or strides is None or strides[-1] in cls.strides)

    @classmethod
    def can_give(cls, outputs: str) -> bool:
        """Whether a pose model with this head can give what a codec decodes: its own, bins from heat maps, coordinates from features."""
        return outputs in (cls.outputs, "coordinates") or (cls.outputs, outputs) == ("heatmaps", "bins")

    def forward(self, features: list[Tensor]) -> Outputs:
        """The outputs for feature maps [B, C_i, H / stride_i, W / stride_i], finest first."""
        raise NotImplementedError


def final_conv(in_channels: int, num_keypoints: int, kernel: int) -> nn.Conv2d:
    """The convolution that ends in one map a keypoint; weights drawn from N(0, 0.001), biases zero."""
    conv = nn.Conv2d(in_channels, num_keypoints, kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=0.001)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
