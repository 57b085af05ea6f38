"""Coordinates and their spread regressed directly."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, FlipPermutation, Outputs, Targets, as_index, pck_accuracy, relative_spans, single
from poseline.config.network import CodecConfig


class RegressionCodec(Codec):
    """Four numbers a keypoint [B, K, 4]: x and y from the middle in crop sizes, and their spreads before a sigmoid.

    Reference:
        Li et al., Human Pose Regression with Residual Log-likelihood Estimation, ICCV 2021.
    """

    outputs = "coordinates"
    losses = ("rle",)

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__(config, num_keypoints=num_keypoints, input_wh=input_wh)
        self.output_shapes = ((num_keypoints, 4),)

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Relative coordinates of keypoints in input pixels; one outside the crop keeps its weight."""
        return Targets(keypoints.float() / relative_spans(self.input_wh, self.config.geometry, keypoints) - 0.5, weights.float())

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, and 1 less the mean spread as score."""
        values = single(outputs).float()
        points = (values[..., :2] + 0.5) * relative_spans(self.input_wh, self.config.geometry, values)
        return points, 1 - values[..., 2:].sigmoid().mean(dim=-1)

    def flip(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """Values of a flipped input as values of the input."""
        values = single(outputs).index_select(1, as_index(flip_permutation, single(outputs).device))
        # x' = W - 1 - x: in the published geometry, which divides by W, the mirror lies half a pixel beside the middle.
        off = 1 / self.input_wh[0] if self.config.geometry == "published" else 0.0
        return torch.cat([-values[..., :1] - off, values[..., 1:]], dim=-1)

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Fraction of coordinates within a twentieth of the crop, counted as on heat maps of a quarter of the input."""
        mask = (targets.weights > 0)[..., None]
        scale = relative_spans(self.heatmap_wh, self.config.geometry, targets.weights)
        predicted = (single(outputs)[..., :2].float() + 0.5) * scale
        return pck_accuracy(predicted * mask, (single(targets.values) + 0.5) * scale * mask, self.heatmap_wh)
