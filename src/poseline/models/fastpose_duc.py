"""FastPose-DUC: a trunk and three shuffle stages of four, two and one convolutions."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from poseline.models.backbones.base import Backbone
from poseline.models.heads import final_conv, shuffle_stage


class FastPoseDuc(nn.Module):
    """Heat maps at a quarter of the input. Channels are the published ones with a 2048-channel trunk, else in proportion."""

    def __init__(self, backbone: Backbone, num_keypoints: int) -> None:
        super().__init__()
        self.preact = backbone
        quarter = backbone.out_channels[-1] // 4
        self.duc1 = shuffle_stage(4 * quarter, (quarter, quarter, quarter, 2 * quarter))
        self.duc2 = shuffle_stage(2 * quarter, (quarter // 2, quarter))
        self.duc3 = shuffle_stage(quarter, (quarter // 2,))
        self.conv_out = final_conv(quarter // 2, num_keypoints, 3)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H/4 W/4"]:
        """One heat map a keypoint."""
        return self.conv_out(self.duc3(self.duc2(self.duc1(self.preact(images)[-1]))))
