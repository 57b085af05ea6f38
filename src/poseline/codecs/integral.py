"""Coordinates as the expectation over a normalised heat map, and the mix of both kinds for whole bodies."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from poseline.codecs.base import Codec, Outputs, Targets, pck_accuracy, point_scale, relative_spans, single
from poseline.codecs.heatmap import HeatmapCodec
from poseline.codecs.peaks import mass_near
from poseline.config.network import CodecConfig
from poseline.errors import ConfigError

NEAR_CELLS = 2
"""The score of a softmax integral is the probability of lying so near to the mean, along x times along y."""


class IntegralCodec(Codec):
    """One map a keypoint [B, K, h, w] whose normalised mass has the keypoint as its mean.

    Targets are coordinates from the middle in crop sizes, -0.5..0.5 inside the crop.

    Reference:
        Sun et al., Integral Human Pose Regression, ECCV 2018; Fang et al., AlphaPose, TPAMI 2022 (sigmoid).
    """

    losses = ("integral_l1",)

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Relative coordinates of keypoints in input pixels; one outside the crop keeps its weight."""
        return Targets(keypoints.float() / relative_spans(self.input_wh, self.config.geometry, keypoints) - 0.5, weights.float())

    def mass(self, maps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K h w"]:
        """What each cell weighs, before division by the map's sum."""
        match self.config.integral.normalise:
            case "softmax":
                return torch.softmax(maps.flatten(2), dim=-1).view_as(maps)
            case "sigmoid":
                return maps.sigmoid()
            case "divide_sum":
                return maps

    def marginals(self, outputs: Outputs) -> tuple[Float[Tensor, "B K w"], Float[Tensor, "B K h"]]:
        """Distributions along x and along y."""
        mass = self.mass(single(outputs).float())
        columns, rows = mass.sum(dim=2), mass.sum(dim=3)
        total = rows.sum(dim=2, keepdim=True)
        return columns / total, rows / total

    def relative(self, expectations: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """Expected heat-map positions as coordinates from the middle in crop sizes."""
        return expectations / relative_spans(self.heatmap_wh, self.config.geometry, expectations) - 0.5

    def locate(self, outputs: Outputs) -> Float[Tensor, "B K 2"]:
        """The expected heat-map position of each keypoint."""
        return expectations(self.marginals(outputs))

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels and their scores; of several outputs (the flip test's) the mean of both.

        The score is the sigmoid's peak, or the peak of the raw map (divide_sum), or the probability (softmax) of lying
        within two cells along both axes; in the published geometry it is 1 for the latter two.
        """
        if not isinstance(outputs, Tensor):
            decoded = [self.decode(output) for output in outputs]
            return torch.stack([one[0] for one in decoded]).mean(dim=0), torch.stack([one[1] for one in decoded]).mean(dim=0)
        maps = outputs.float()
        marginals = self.marginals(maps)
        places = expectations(marginals)
        points = places * point_scale(self.heatmap_wh, self.input_wh, self.config.geometry, maps)
        peaks = maps.flatten(2).amax(dim=-1)
        if self.config.integral.normalise == "sigmoid":
            scores = peaks.sigmoid()
        elif self.config.geometry == "published":
            scores = torch.ones_like(peaks)
        elif self.config.integral.normalise == "softmax":
            columns, rows = marginals
            x, y = places.round().long().unbind(dim=-1)
            scores = mass_near(columns, x, reach=NEAR_CELLS) * mass_near(rows, y, reach=NEAR_CELLS)
        else:
            scores = peaks
        return points, scores

    def average(self, outputs: Outputs, flipped: Outputs) -> Outputs:
        """Both outputs: the flip test averages the decoded keypoints and scores, not the maps."""
        return single(outputs), single(flipped)

    @torch.no_grad()
    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Fraction of expected positions within a twentieth of the map from their targets."""
        mask = targets.weights[..., None]
        labelled = (single(targets.values) + 0.5) * relative_spans(self.heatmap_wh, self.config.geometry, mask)
        return pck_accuracy(self.locate(outputs) * mask, labelled * (mask > 0), self.heatmap_wh)


def expectations(marginals: tuple[Float[Tensor, "B K w"], Float[Tensor, "B K h"]]) -> Float[Tensor, "B K 2"]:
    """The mean position along x and along y."""
    along = [mass @ torch.arange(mass.shape[-1], device=mass.device, dtype=mass.dtype) for mass in marginals]
    return torch.stack(along, dim=-1)


class CombinedCodec(Codec):
    """Heat maps for the first keypoints, the integral for the last; one map [B, K, h, w] each."""

    losses = ("combined",)

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__(config, num_keypoints=num_keypoints, input_wh=input_wh)
        last = config.combined.integral_last
        if last >= num_keypoints:
            raise ConfigError(f"codec.combined.integral_last: expected less than the skeleton's {num_keypoints} keypoints, got {last}")
        self.num_body = num_keypoints - last
        self.body = HeatmapCodec(config, num_keypoints=self.num_body, input_wh=input_wh)
        self.rest = IntegralCodec(config, num_keypoints=last, input_wh=input_wh)

    def check_pairs(self, flip_permutation: Int[np.ndarray, " K"]) -> None:
        """Pass where no left and right keypoint lie on both sides of the border between the parts.

        Raises:
            ConfigError: names the pair.
        """
        for keypoint, other in enumerate(flip_permutation.tolist()):
            if keypoint < self.num_body <= other:
                raise ConfigError(
                    f"codec.combined.integral_last: {self.config.combined.integral_last} parts keypoints {keypoint} and {other}, left and "
                    "right of one pair. Choose a border that leaves pairs together."
                )

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Heat maps of the first keypoints and relative coordinates of the last."""
        body = self.body.encode(keypoints[:, : self.num_body], weights[:, : self.num_body])
        rest = self.rest.encode(keypoints[:, self.num_body :], weights[:, self.num_body :])
        return Targets((single(body.values), single(rest.values)), torch.cat([body.weights, rest.weights], dim=1))

    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels and scores, each part by its own rule, the flip test's included."""
        maps = (outputs,) if isinstance(outputs, Tensor) else outputs
        body = self.body.decode(torch.stack([one[:, : self.num_body] for one in maps]).mean(dim=0))
        rest = self.rest.decode(tuple(one[:, self.num_body :] for one in maps))
        return torch.cat([body[0], rest[0]], dim=1), torch.cat([body[1], rest[1]], dim=1)

    def average(self, outputs: Outputs, flipped: Outputs) -> Outputs:
        """Both outputs, for :meth:`decode` to average as each part asks."""
        return single(outputs), single(flipped)

    def split_targets(self, targets: Targets) -> tuple[Targets, Targets]:
        """The heat-map part and the integral part."""
        heatmaps, coordinates = targets.values
        return Targets(heatmaps, targets.weights[:, : self.num_body]), Targets(coordinates, targets.weights[:, self.num_body :])

    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The parts' accuracies, weighted by their number of keypoints."""
        maps, (body, rest) = single(outputs), self.split_targets(targets)
        fraction = self.num_body / self.num_keypoints
        on_body = self.body.accuracy(maps[:, : self.num_body], body)
        return on_body * fraction + self.rest.accuracy(maps[:, self.num_body :], rest) * (1 - fraction)
