"""The base of all losses, and the losses on coordinates: symmetric integral, residual log-likelihood with its small flow."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from poseline.codecs.base import Codec, Outputs, Targets, single
from poseline.codecs.integral import IntegralCodec
from poseline.config.network import LossConfig


class Loss(nn.Module):
    """One number for a network's outputs and a codec's targets: a mean over samples.

    A loss of another package is a subclass named by an entry point of the group ``poseline.losses``.

    Args:
        codec: made the targets; names the losses that fit it.
        keypoint_weights: [K].
        config: the loss section.
    """

    def __init__(self, codec: Codec, keypoint_weights: Float[Tensor, " K"], config: LossConfig) -> None:
        super().__init__()
        self.codec = codec
        self.register_buffer("keypoint_weights", keypoint_weights, persistent=False)
        self.keypoint_weights: Tensor

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        raise NotImplementedError


class SymmetricExpectation(torch.autograd.Function):
    """Mean position of a mass over cells, whose gradient pushes each cell by its side of the mean, not by its distance.

    The exact gradient of the mean is the cell's index, so that it depends on where in the image a keypoint lies;
    here it is 2 on and after the mean and -2 before it.

    Reference:
        Fang et al., AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in Real-Time, TPAMI 2022,
        section 3.2.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, mass: Float[Tensor, "*rest n"]) -> Float[Tensor, "*rest"]:
        """The mean cell index."""
        cells = torch.arange(mass.shape[-1], device=mass.device, dtype=mass.dtype)
        mean = (mass * cells).sum(dim=-1)
        ctx.save_for_backward(mean)
        ctx.num_cells = mass.shape[-1]  # type: ignore[attr-defined]
        return mean

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Float[Tensor, "*rest"]) -> Float[Tensor, "*rest n"]:
        """The upstream gradient times -2 before the mean, times 2 from it on; 2 everywhere where the mean lies past the end."""
        (mean,) = ctx.saved_tensors  # type: ignore[attr-defined]
        num_cells: int = ctx.num_cells  # type: ignore[attr-defined]
        cells = torch.arange(num_cells, device=mean.device, dtype=mean.dtype)
        before = (cells < mean[..., None]) & (mean <= num_cells)[..., None]
        return gradient[..., None] * torch.where(before, -2.0, 2.0)


class IntegralL1(Loss):
    """Absolute error of integral coordinates, summed over keypoints and axes, mean over samples."""

    codec: IntegralCodec

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        means = [SymmetricExpectation.apply(mass) for mass in self.codec.marginals(outputs)]
        predicted = self.codec.relative(torch.stack(means, dim=-1))
        error = (predicted - single(targets.values)).abs().sum(dim=-1) * targets.weights * self.keypoint_weights
        return error.sum() / len(error)


class CouplingFlow(nn.Module):
    """Density of the plane: a standard normal seen through affine coupling layers (a small real-NVP).

    Args:
        num_layers: couplings; each moves one axis by a function of the other, in turn.
        hidden: width of the functions' two hidden layers.

    Reference:
        Dinh et al., Density Estimation using Real NVP, ICLR 2017.
    """

    def __init__(self, *, num_layers: int = 6, hidden: int = 64) -> None:
        """Make the couplings; the last layer of each starts at 0, so that the flow starts as the normal density."""
        super().__init__()
        self.couplings = nn.ModuleList(_coupling(hidden) for _ in range(num_layers))

    def log_density(self, points: Float[Tensor, "*rest 2"]) -> Float[Tensor, "*rest"]:
        """Logarithm of the density at points."""
        axes = list(points.unbind(dim=-1))
        log_volume = torch.zeros_like(axes[0])
        for layer, coupling in enumerate(self.couplings):
            moved, given = layer % 2, 1 - layer % 2
            log_scale, shift = coupling(axes[given][..., None]).unbind(dim=-1)
            log_scale = torch.tanh(log_scale)
            axes[moved] = (axes[moved] - shift) * torch.exp(-log_scale)
            log_volume = log_volume - log_scale
        return log_volume - 0.5 * (axes[0].square() + axes[1].square()) - math.log(2 * math.pi)


def _coupling(hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, 2)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(1, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(), last)


class ResidualLogLikelihood(Loss):
    """Negative log-likelihood of regressed coordinates under a Laplace density times a learnt residual, mean over keypoints.

    The residual is made even, g(x) = (f(x) + f(-x)) / 2 of the flow f: a density that leans to one side would take over a
    part of the error that the coordinates should lose, and predictions would be off by it.

    The flow's parameters live here: give them to the optimiser; they are not needed to predict.

    Reference:
        Li et al., Human Pose Regression with Residual Log-likelihood Estimation, ICCV 2021, equation 8.
    """

    def __init__(self, codec: Codec, keypoint_weights: Float[Tensor, " K"], config: LossConfig) -> None:
        super().__init__(codec, keypoint_weights, config)
        self.flow = CouplingFlow()

    def forward(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """The loss of one batch."""
        values = single(outputs).float()
        spread = values[..., 2:].sigmoid().clamp(min=1e-4)
        labelled = (targets.weights > 0)[..., None]
        error = torch.where(labelled, (values[..., :2] - single(targets.values)) / spread, 0.0)
        laplace = (error.abs() + math.log(2)).sum(dim=-1)
        forth, back = self.flow.log_density(torch.stack([error, -error])).unbind()
        residual = torch.logaddexp(forth, back) - math.log(2)
        loss = spread.log().sum(dim=-1) + laplace - residual
        return (loss * targets.weights * self.keypoint_weights).mean()
