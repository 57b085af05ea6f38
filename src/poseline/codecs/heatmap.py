"""Gaussian heat maps, decoded by their peak; ``udp`` is the same in the unbiased grid with a wide DARK blur."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, Outputs, Targets, pck_accuracy, point_scale, single
from poseline.codecs.gaussians import draw_heatmaps
from poseline.codecs.peaks import dark_offset, find_peaks, quarter_offset
from poseline.config.network import CodecConfig, HeatmapConfig
from poseline.errors import ConfigError


class HeatmapCodec(Codec):
    """One Gaussian map a keypoint [B, K, h, w], a quarter of the input's size."""

    losses = ("mse", "ohkm")

    @cached_property
    def options(self) -> HeatmapConfig:
        """The Gaussian and its decoding."""
        return self.config.heatmap

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

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Fraction of peaks within a twentieth of the map from their targets' peaks."""
        mask = targets.weights[..., None, None]
        predicted, _ = find_peaks(single(outputs) * mask)
        labelled, _ = find_peaks(single(targets.values) * mask)
        return pck_accuracy(predicted.float(), labelled.float(), self.heatmap_wh)


class UdpCodec(HeatmapCodec):
    """Heat maps in the unbiased grid: Gaussians around the point itself, decoded by DARK.

    Reference:
        Huang et al., The Devil is in the Details, CVPR 2020.
    """

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__(config, num_keypoints=num_keypoints, input_wh=input_wh)
        if config.geometry == "published":
            raise ConfigError("codec.geometry: udp is always unbiased, got published. Set codec.kind=heatmap for published weights.")

    @cached_property
    def options(self) -> HeatmapConfig:
        """The Gaussian and its decoding."""
        return HeatmapConfig(sigma=self.config.udp.sigma, centre="subpixel", refine="dark", dark_kernel=self.config.udp.kernel)
