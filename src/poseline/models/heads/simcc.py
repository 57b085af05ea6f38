"""SimCC: two linear layers that read heat maps as bins.

Reference:
    Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec, single


class SimccHead(nn.Module):
    """A heat-map head whose maps are read by two shared linear layers: one over x bins, one over y bins.

    The layers start as the sums over the map's columns and over its rows, so that a peak of the map is a peak of the bins
    from the first step on; from random weights, where things are has to be learned first.

    Args:
        maps: the head that gives heat maps.
        codec: gives the size of the maps and the number of bins.
    """

    def __init__(self, maps: nn.Module, codec: Codec) -> None:
        super().__init__()
        self.maps = maps
        width, height = codec.heatmap_wh
        bins_x, bins_y = (shape[-1] for shape in codec.output_shapes)
        self.norm = nn.LayerNorm(width * height)
        self.x = nn.Linear(width * height, bins_x)
        self.y = nn.Linear(width * height, bins_y)
        read_sums(self.x, (height, width), axis=1)
        read_sums(self.y, (height, width), axis=0)

    def forward(self, features: list[Tensor]) -> tuple[Float[Tensor, "B K Wb"], Float[Tensor, "B K Hb"]]:
        """Logits over the x bins and over the y bins."""
        # Final maps start near zero (N(0, 0.001) weights); normalising each map lets the linear layers learn at once.
        maps = self.norm(single(self.maps(features)).flatten(2))
        return self.x(maps), self.y(maps)


@torch.no_grad()
def read_sums(layer: nn.Linear, map_hw: tuple[int, int], *, axis: int) -> None:
    """Set a layer over flat maps to their sums along one axis (0: each row's, 1: each column's), interpolated to its bins."""
    cells, bins = map_hw[axis], layer.out_features
    places = torch.linspace(0, cells - 1, bins)
    fractions = (1 - (places[:, None] - torch.arange(cells)).abs()).clamp(min=0)
    spread = fractions[:, :, None].expand(-1, -1, map_hw[1]) if axis == 0 else fractions[:, None, :].expand(-1, map_hw[0], -1)
    layer.weight.copy_(spread.flatten(1) / math.sqrt(layer.in_features))
    layer.bias.zero_()
