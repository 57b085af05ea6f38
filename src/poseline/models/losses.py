"""Training losses; each takes a network's output and a codec's targets and gives one number, a mean over samples.

Divisors count every keypoint, labelled or not: the loss of a batch is the mean of its samples' losses, so that
gradients averaged over processes are those of one process.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec, Outputs, Targets
from poseline.codecs.heatmap import HeatmapCodec, single
from poseline.codecs.integral import CombinedCodec, IntegralCodec
from poseline.codecs.regression import RegressionCodec
from poseline.codecs.simcc import SimccCodec, pair
from poseline.config.network import LossConfig, SimccConfig
from poseline.errors import ConfigError
from poseline.models.losses_coordinates import IntegralL1, ResidualLogLikelihood

HEATMAP_SHARE, INTEGRAL_SHARE = 100.0, 0.01
"""Factors of the two parts of the combined loss."""


class HeatmapMse(nn.Module):
    """Half the squared error of masked maps, mean over all elements, unlabelled keypoints included in the divisor.

    Args:
        keypoint_weights: [K].
        hardest: count only so many keypoints of largest error a sample (online hard keypoint mining); None: all.

    Reference:
        Xiao et al., Simple Baselines, ECCV 2018; mining: Chen et al., Cascaded Pyramid Network, CVPR 2018.
    """

    def __init__(self, keypoint_weights: Float[Tensor, " K"], *, hardest: int | None = None) -> None:
        """Keep the weights; see the class."""
        super().__init__()
        self.hardest = hardest
        self.register_buffer("keypoint_weights", keypoint_weights, persistent=False)
        self.keypoint_weights: Tensor

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        mask = targets.weights[..., None, None]
        difference = (single(outputs).float() - single(targets.values)) * mask
        error = difference.square().mean(dim=(2, 3)) * self.keypoint_weights
        if self.hardest is not None:
            error = error.topk(self.hardest, dim=1).values
        return 0.5 * error.mean()


class CombinedLoss(nn.Module):
    """A hundred times the heat-map loss of the body and a hundredth of the integral loss of face and hands.

    Args:
        codec: splits outputs and targets.
        keypoint_weights: [K].

    Reference:
        Fang et al., AlphaPose, TPAMI 2022 (whole-body models).
    """

    def __init__(self, codec: CombinedCodec, keypoint_weights: Float[Tensor, " K"]) -> None:
        """Build both parts; see the class."""
        super().__init__()
        self.codec = codec
        self.body = HeatmapMse(keypoint_weights[: codec.num_body])
        self.rest = IntegralL1(codec.rest, keypoint_weights[codec.num_body :])

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        maps, (body, rest) = single(outputs), self.codec.split_targets(targets)
        split = self.codec.num_body
        on_body: Tensor = self.body(maps[:, :split], body)
        on_rest: Tensor = self.rest(maps[:, split:], rest)
        return HEATMAP_SHARE * on_body + INTEGRAL_SHARE * on_rest


class SimccDivergence(nn.Module):
    """Kullback-Leibler divergence from the labels' distribution to the output's, both axes summed, mean over keypoints.

    Labels and outputs become distributions by a softmax at the same inverse temperature.

    Args:
        options: temperature and label smoothing.
        keypoint_weights: [K].

    Reference:
        Li et al., SimCC, ECCV 2022; the softened labels: Jiang et al., RTMPose, 2023.
    """

    def __init__(self, options: SimccConfig, keypoint_weights: Float[Tensor, " K"]) -> None:
        """Keep options and weights; see the class."""
        super().__init__()
        self.options = options
        self.register_buffer("keypoint_weights", keypoint_weights, persistent=False)
        self.keypoint_weights: Tensor

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        axes = zip(pair(outputs), pair(targets.values), strict=True)
        loss = torch.stack([self._divergence(scores.float(), labels) for scores, labels in axes]).sum(dim=0)
        return (loss * targets.weights * self.keypoint_weights).mean()

    def _divergence(self, scores: Float[Tensor, "B K bins"], labels: Float[Tensor, "B K bins"]) -> Float[Tensor, "B K"]:
        smoothing = self.options.label_smoothing
        wanted = torch.softmax(self.options.temperature * labels, dim=-1)
        wanted = wanted * (1 - smoothing) + smoothing / labels.shape[-1]
        predicted = torch.log_softmax(self.options.temperature * scores, dim=-1)
        return (torch.xlogy(wanted, wanted) - wanted * predicted).sum(dim=-1)


def build_loss(loss: LossConfig, codec: Codec) -> nn.Module:
    """The loss of a configuration section for a codec; ``forward(outputs, targets)`` gives a scalar.

    Raises:
        ConfigError: the loss does not fit the codec, or the keypoint weights or ``ohkm_topk`` the skeleton.
    """
    weights = _keypoint_weights(loss, codec.num_keypoints)
    match codec, loss.kind:
        case HeatmapCodec(), "auto" | "mse":
            return HeatmapMse(weights)
        case HeatmapCodec(), "ohkm":
            if loss.ohkm_topk > codec.num_keypoints:
                raise ConfigError(f"loss.ohkm_topk: expected at most the skeleton's {codec.num_keypoints} keypoints, got {loss.ohkm_topk}")
            return HeatmapMse(weights, hardest=loss.ohkm_topk)
        case IntegralCodec(), "auto" | "integral_l1":
            return IntegralL1(codec, weights)
        case CombinedCodec(), "auto" | "combined":
            return CombinedLoss(codec, weights)
        case SimccCodec(), "auto" | "simcc_kl":
            return SimccDivergence(codec.config.simcc, weights)
        case RegressionCodec(), "auto" | "rle":
            return ResidualLogLikelihood(weights)
    raise ConfigError(f"loss.kind: '{loss.kind}' does not fit codec.kind '{codec.config.kind}'. Set loss.kind=auto for the codec's own.")


def _keypoint_weights(loss: LossConfig, num_keypoints: int) -> Float[Tensor, " K"]:
    if loss.keypoint_weights is None:
        return torch.ones(num_keypoints)
    if len(loss.keypoint_weights) != num_keypoints:
        raise ConfigError(f"loss.keypoint_weights: expected {num_keypoints} values, one a keypoint, got {len(loss.keypoint_weights)}")
    return torch.tensor(loss.keypoint_weights, dtype=torch.float32)
