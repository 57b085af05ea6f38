"""Regression: coordinates and their spread from the mean of the last feature map.

Reference:
    Li et al., Human Pose Regression with Residual Log-likelihood Estimation, ICCV 2021.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec
from poseline.models.backbones.base import Backbone


class RegressionHead(nn.Module):
    """One linear layer, on any backbone."""

    def __init__(self, backbone: Backbone, codec: Codec) -> None:
        super().__init__()
        self.coordinates = nn.Linear(backbone.out_channels[-1], codec.num_keypoints * 4)
        nn.init.normal_(self.coordinates.weight, std=0.01)
        nn.init.zeros_(self.coordinates.bias)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "B K 4"]:
        """For each keypoint x and y from the middle in crop sizes, and their spreads before a sigmoid."""
        return self.coordinates(features[-1].mean(dim=(2, 3))).unflatten(1, (-1, 4))
