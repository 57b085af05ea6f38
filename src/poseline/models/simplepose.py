"""SimplePose: a trunk, transposed convolutions and a 1x1 convolution.

Reference:
    Xiao et al., Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from poseline.models.backbones.base import Backbone
from poseline.models.heads import PyramidHead, deconv_layers, final_conv


class SimplePose(nn.Module):
    """Heat maps at a quarter of the input from the trunk's last map."""

    def __init__(self, backbone: Backbone, num_keypoints: int, *, channels: Sequence[int]) -> None:
        super().__init__()
        self.preact = backbone
        self.deconv_layers = deconv_layers(backbone.out_channels[-1], channels)
        self.final_layer = final_conv(channels[-1] if channels else backbone.out_channels[-1], num_keypoints, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:
        """One heat map a keypoint."""
        return self.final_layer(self.deconv_layers(self.preact(images)[-1]))


class PyramidPose(nn.Module):
    """Heat maps at a quarter of the input from all of the trunk's maps through the light head."""

    def __init__(self, backbone: Backbone, num_keypoints: int, *, channels: int) -> None:
        super().__init__()
        self.preact = backbone
        self.levels = tuple(index for index, stride in enumerate(backbone.strides) if stride >= 4)
        self.pyramid = PyramidHead([backbone.out_channels[index] for index in self.levels], channels)
        self.final_layer = final_conv(channels, num_keypoints, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:
        """One heat map a keypoint."""
        features = self.preact(images)
        return self.final_layer(self.pyramid([features[index] for index in self.levels]))
