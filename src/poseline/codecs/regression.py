"""Coordinates and their spread regressed directly."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import (
    HEATMAP_STRIDE,
    FlipPermutation,
    Outputs,
    Targets,
    as_index,
    average_outputs,
    pck_accuracy,
    relative_spans,
)
from poseline.codecs.heatmap import single
from poseline.config.network import CodecConfig


class RegressionCodec:
    """Four numbers a keypoint [B, K, 4]: x and y from the middle in crop sizes, and their spreads before a sigmoid.

    Args:
        config: the codec section.
        num_keypoints: K.
        input_wh: pixels.

    Reference:
        Li et al., Human Pose Regression with Residual Log-likelihood Estimation, ICCV 2021.
    """

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        """Fix the input size; see the class."""
        self.config = config
        self.num_keypoints = num_keypoints
        self.input_wh = input_wh
        self.output_shapes: tuple[tuple[int, ...], ...] = ((num_keypoints, 4),)

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Relative coordinates of keypoints in input pixels; one outside the crop keeps its weight."""
        return Targets(keypoints.float() / relative_spans(self.input_wh, self.config.geometry, keypoints) - 0.5, weights.float())

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, and 1 less the mean spread as score."""
        values = single(outputs).float()
        points = (values[..., :2] + 0.5) * relative_spans(self.input_wh, self.config.geometry, values)
        return points, 1 - values[..., 2:].sigmoid().mean(dim=-1)

    def mirror(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """Values of a mirrored input as values of the input."""
        values = single(outputs).index_select(1, as_index(flip_permutation, single(outputs).device))
        # x' = W - 1 - x: in the legacy geometry, which divides by W, the mirror lies half a pixel beside the middle.
        off = 1 / self.input_wh[0] if self.config.geometry == "legacy" else 0.0
        return torch.cat([-values[..., :1] - off, values[..., 1:]], dim=-1)

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """The mean values."""
        return average_outputs(outputs, mirrored)

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Share of coordinates within a twentieth of the crop, counted as on heat maps of a quarter of the input."""
        grid_wh = (self.input_wh[0] // HEATMAP_STRIDE, self.input_wh[1] // HEATMAP_STRIDE)
        mask = (targets.weights > 0)[..., None]
        scale = relative_spans(grid_wh, self.config.geometry, targets.weights)
        predicted = (single(outputs)[..., :2].float() + 0.5) * scale
        return pck_accuracy(predicted * mask, (single(targets.values) + 0.5) * scale * mask, grid_wh)
