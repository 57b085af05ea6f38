"""Coordinates as two classifications, one over the bins of each axis."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, FlipPermutation, Outputs, Targets, pck_accuracy, point_scale, single
from poseline.codecs.gaussians import draw_profiles
from poseline.codecs.peaks import argmax_last, locate_vertices, mass_near
from poseline.config.network import CodecConfig


class SimccCodec(Codec):
    """Scores over x bins [B, K, bins_x] and over y bins [B, K, bins_y], ``split_ratio`` bins a pixel.

    Reference:
        Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022.
    """

    outputs = "bins"
    losses = ("simcc_kl",)

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__(config, num_keypoints=num_keypoints, input_wh=input_wh)
        self.bins_xy = (round(input_wh[0] * config.simcc.split_ratio), round(input_wh[1] * config.simcc.split_ratio))
        self.output_shapes = ((num_keypoints, self.bins_xy[0]), (num_keypoints, self.bins_xy[1]))

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Gaussians of peak 1 over the bins; the loss turns them into distributions."""
        centres = keypoints.float() * point_scale(self.input_wh, self.bins_xy, self.config.geometry, keypoints)
        columns, rows, weights = draw_profiles(
            centres, weights.float(), self.bins_xy, sigma=self.config.simcc.sigma, integer_centre=False
        )
        return Targets((columns, rows), weights)

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, and their scores as ``codec.simcc.score`` has them."""
        columns, rows = (scores.float() for scores in pair(outputs))
        points = self._locate(columns, rows)
        if self.config.simcc.score == "raw":
            return points, torch.minimum(columns.amax(dim=-1), rows.amax(dim=-1))
        return points, self._mass_at_peak(columns) * self._mass_at_peak(rows)

    def _locate(self, columns: Float[Tensor, "B K bins_x"], rows: Float[Tensor, "B K bins_y"]) -> Float[Tensor, "B K 2"]:
        """Keypoints in input pixels."""
        locate = locate_vertices if self.config.simcc.refine == "parabola" else argmax_last
        bins = torch.stack([locate(columns.float()), locate(rows.float())], dim=-1)
        return bins * point_scale(self.bins_xy, self.input_wh, self.config.geometry, columns)

    def _mass_at_peak(self, scores: Float[Tensor, "B K bins"]) -> Float[Tensor, "B K"]:
        """The probability that lies within two label deviations of the highest bin."""
        mass = torch.softmax(self.config.simcc.temperature * scores, dim=-1)
        return mass_near(mass, argmax_last(scores), reach=round(2 * self.config.simcc.sigma))

    def flip(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """Both axes of a flipped input as those of the input."""
        columns, rows = pair(outputs)
        columns = single(super().flip(columns, flip_permutation))
        return columns, rows[:, torch.as_tensor(flip_permutation, device=rows.device)]

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Fraction of decoded keypoints within a twentieth of the crop, counted as on heat maps of a quarter of the input."""
        mask = (targets.weights > 0)[..., None]
        scale = point_scale(self.input_wh, self.heatmap_wh, self.config.geometry, mask)
        predicted, labelled = self._locate(*pair(outputs)), self._locate(*pair(targets.values))
        return pck_accuracy(predicted * scale * mask, labelled * scale * mask, self.heatmap_wh)


def pair(outputs: Outputs) -> tuple[Tensor, Tensor]:
    """The x and y tensors of an output that must be two.

    Raises:
        ValueError: another number of tensors, as a network with another head gives.
    """
    if isinstance(outputs, Tensor) or len(outputs) != 2:
        raise ValueError("expected two output tensors (x bins, y bins): the model's head does not fit codec.kind")
    return outputs[0], outputs[1]
