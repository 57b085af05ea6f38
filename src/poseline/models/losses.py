"""Training losses; each takes a network's output and a codec's targets and gives one number, a mean over samples.

Divisors count every keypoint, labelled or not: the loss of a batch is the mean of its samples' losses, so that
gradients averaged over processes are those of one process.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, Outputs, Targets, single
from poseline.codecs.integral import CombinedCodec
from poseline.codecs.simcc import SimccCodec, pair
from poseline.config.network import LOSSES, LossConfig
from poseline.errors import ConfigError
from poseline.models.losses_coordinates import IntegralL1, Loss

HEATMAP_FACTOR, INTEGRAL_FACTOR = 100.0, 0.01
"""Factors of the two parts of the combined loss."""


class HeatmapMse(Loss):
    """Half the squared error of masked maps, mean over all elements, unlabelled keypoints included in the divisor.

    Reference:
        Xiao et al., Simple Baselines, ECCV 2018.
    """

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        return 0.5 * self.errors(outputs, targets).mean()

    def errors(self, outputs: Outputs, targets: Targets) -> Float[Tensor, "B K"]:
        """The mean squared error of each keypoint's map."""
        mask = targets.weights[..., None, None]
        difference = (single(outputs).float() - single(targets.values)) * mask
        return difference.square().mean(dim=(2, 3)) * self.keypoint_weights


class HardKeypointMse(HeatmapMse):
    """The same over the ``loss.ohkm_topk`` keypoints of largest error in each sample (online hard keypoint mining).

    Reference:
        Chen et al., Cascaded Pyramid Network, CVPR 2018.
    """

    def __init__(self, codec: Codec, keypoint_weights: Float[Tensor, " K"], config: LossConfig) -> None:
        super().__init__(codec, keypoint_weights, config)
        self.hardest = config.ohkm_topk
        if self.hardest > codec.num_keypoints:
            raise ConfigError(f"loss.ohkm_topk: expected at most the skeleton's {codec.num_keypoints} keypoints, got {self.hardest}")

    def errors(self, outputs: Outputs, targets: Targets) -> Float[Tensor, "B K"]:
        """The mean squared error of each of the hardest keypoints' maps."""
        return super().errors(outputs, targets).topk(self.hardest, dim=1).values


class CombinedLoss(Loss):
    """A hundred times the heat-map loss of the body and a hundredth of the integral loss of face and hands.

    Reference:
        Fang et al., AlphaPose, TPAMI 2022 (whole-body models).
    """

    codec: CombinedCodec

    def __init__(self, codec: CombinedCodec, keypoint_weights: Float[Tensor, " K"], config: LossConfig) -> None:
        super().__init__(codec, keypoint_weights, config)
        self.body = HeatmapMse(codec.body, keypoint_weights[: codec.num_body], config)
        self.rest = IntegralL1(codec.rest, keypoint_weights[codec.num_body :], config)

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        maps, (body, rest) = single(outputs), self.codec.split_targets(targets)
        split = self.codec.num_body
        on_body: Tensor = self.body(maps[:, :split], body)
        on_rest: Tensor = self.rest(maps[:, split:], rest)
        return HEATMAP_FACTOR * on_body + INTEGRAL_FACTOR * on_rest


class SimccDivergence(Loss):
    """Kullback-Leibler divergence from the labels' distribution to the output's, both axes summed, mean over keypoints.

    Labels and outputs become distributions by a softmax at the same inverse temperature.

    Reference:
        Li et al., SimCC, ECCV 2022; the softened labels: Jiang et al., RTMPose, 2023.
    """

    codec: SimccCodec

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        axes = zip(pair(outputs), pair(targets.values), strict=True)
        loss = torch.stack([self._divergence(scores.float(), labels) for scores, labels in axes]).sum(dim=0)
        return (loss * targets.weights * self.keypoint_weights).mean()

    def _divergence(self, scores: Float[Tensor, "B K bins"], labels: Float[Tensor, "B K bins"]) -> Float[Tensor, "B K"]:
        smoothing, temperature = self.codec.config.simcc.label_smoothing, self.codec.config.simcc.temperature
        wanted = torch.softmax(temperature * labels, dim=-1)
        wanted = wanted * (1 - smoothing) + smoothing / labels.shape[-1]
        predicted = torch.log_softmax(temperature * scores, dim=-1)
        return (torch.xlogy(wanted, wanted) - wanted * predicted).sum(dim=-1)


def build_loss(loss: LossConfig, codec: Codec) -> Loss:
    """The loss of a configuration section for a codec; ``forward(outputs, targets)`` gives a scalar.

    Raises:
        ConfigError: the loss does not fit the codec, or the keypoint weights or ``ohkm_topk`` the skeleton.
        BackendError: a loss of another package that cannot be loaded.
    """
    kind = codec.losses[0] if loss.kind == "auto" else loss.kind
    if kind not in codec.losses:
        coding = codec.config.kind
        raise ConfigError(f"loss.kind: '{loss.kind}' does not fit codec.kind '{coding}'. Set loss.kind=auto for the codec's own.")
    return LOSSES.load_class(kind, Loss)(codec, _keypoint_weights(loss, codec.num_keypoints), loss)


def _keypoint_weights(loss: LossConfig, num_keypoints: int) -> Float[Tensor, " K"]:
    if loss.keypoint_weights is None:
        return torch.ones(num_keypoints)
    if len(loss.keypoint_weights) != num_keypoints:
        raise ConfigError(f"loss.keypoint_weights: expected {num_keypoints} values, one a keypoint, got {len(loss.keypoint_weights)}")
    return torch.tensor(loss.keypoint_weights, dtype=torch.float32)
