"""Gaussian heat maps, decoded by their peak; ``udp`` is the same in the unbiased grid with a wide DARK blur."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import (
    HEATMAP_STRIDE,
    FlipPermutation,
    Outputs,
    Targets,
    average_outputs,
    mirror_bins,
    pck_accuracy,
    point_scale,
)
from poseline.codecs.gaussians import draw_heatmaps
from poseline.codecs.peaks import dark_offset, find_peaks, quarter_offset
from poseline.config.network import CodecConfig, HeatmapConfig


class HeatmapCodec:
    """One Gaussian map a keypoint [B, K, h, w], a quarter of the input's size.

    Args:
        config: the codec section.
        options: the Gaussian and its decoding; from ``config.heatmap``, or made from ``config.udp``.
        num_keypoints: K.
        input_wh: multiples of 4, pixels.
    """

    def __init__(self, config: CodecConfig, options: HeatmapConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        """Fix the grids; see the class."""
        self.config = config
        self.options = options
        self.num_keypoints = num_keypoints
        self.input_wh = input_wh
        self.heatmap_wh = (input_wh[0] // HEATMAP_STRIDE, input_wh[1] // HEATMAP_STRIDE)
        self.output_shapes: tuple[tuple[int, ...], ...] = ((num_keypoints, self.heatmap_wh[1], self.heatmap_wh[0]),)

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Heat maps of keypoints in input pixels."""
        centres = keypoints.float() * point_scale(self.input_wh, self.heatmap_wh, self.config.geometry, keypoints)
        maps, weights = draw_heatmaps(
            centres,
            weights.float(),
            self.heatmap_wh,
            sigma=self.options.sigma,
            integer_centre=self.options.centre == "integer",
        )
        return Targets(maps, weights)

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels and the maps' largest values; (0, 0) where no value exceeds 0."""
        maps = single(outputs)
        cells, scores = find_peaks(maps)
        match self.options.refine:
            case "quarter":
                points = cells + quarter_offset(maps, cells, geometry=self.config.geometry) * (scores > 0)[..., None]
            case "dark":
                points = cells + dark_offset(maps, cells, self.options.dark_kernel) * (scores > 0)[..., None]
            case "none":
                points = cells.float()
        return points.float() * point_scale(self.heatmap_wh, self.input_wh, self.config.geometry, maps), scores.float()

    def mirror(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """Maps of a mirrored input as maps of the input."""
        return mirror_bins(single(outputs), flip_permutation, from_width=self.input_wh[0], geometry=self.config.geometry)

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """The mean map."""
        return average_outputs(outputs, mirrored)

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Share of peaks within a twentieth of the map from their targets' peaks."""
        mask = targets.weights[..., None, None]
        predicted, _ = find_peaks(single(outputs) * mask)
        labelled, _ = find_peaks(single(targets.values) * mask)
        return pck_accuracy(predicted.float(), labelled.float(), self.heatmap_wh)


def single(outputs: Outputs) -> Tensor:
    """The one tensor of an output that must be one.

    Raises:
        ValueError: several tensors, as a network with another head gives.
    """
    if not isinstance(outputs, Tensor):
        raise ValueError(f"expected one output tensor, got {len(outputs)}: the model's head does not fit codec.kind")
    return outputs
