"""FastPose: a trunk with channel attention, a pixel shuffle and two dense upsampling convolutions.

Reference:
    Fang et al., AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in Real-Time, TPAMI 2022.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from poseline.models.backbones.base import Backbone
from poseline.models.heads import DenseUpsampling, entry_layers, final_conv


class FastPose(nn.Module):
    """Heat maps at a quarter of the input.

    ``conv_dim`` is the channels before the last convolution. With a 2048-channel trunk the grid doubles thrice on
    512, 256 and ``conv_dim`` channels; other trunks keep these ratios.
    """

    def __init__(self, backbone: Backbone, num_keypoints: int, *, conv_dim: int) -> None:
        super().__init__()
        self.preact = backbone
        self.entry, channels = entry_layers(backbone.out_channels[-1], backbone.strides[-1])
        self.duc1 = DenseUpsampling(channels, 2 * channels)
        self.duc2 = DenseUpsampling(channels // 2, 4 * conv_dim)
        self.conv_out = final_conv(conv_dim, num_keypoints, 3)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:
        """One heat map a keypoint."""
        return self.conv_out(self.duc2(self.duc1(self.entry(self.preact(images)[-1]))))
