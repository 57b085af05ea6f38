"""A look at what a network from elsewhere gives for the first people: scores that no trained network gives, or an input not made for it.

The shapes of a network's outputs show a wrong codec; a wrong normalisation or channel order only lowers the scores. On people whom a
network was trained for, the right input gives the highest ones, so the usual inputs are tried beside the one that was described.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poseline.config import NormaliseConfig
from poseline.infer.estimator import PoseEstimator
from poseline.models.normalise import normalise_images
from poseline.progress import warn

FEWEST, MOST = 8, 16
"""People that are looked at."""
CLEARLY = 1.08
"""Another input must raise the mean keypoint score by this factor to be named."""
ALIKE = 0.98
"""Inputs that reach this fraction of the best one's score cannot be told apart: the most usual of them is named."""
ROUNDING = 0.01
"""Flip distances that differ by fewer pixels are the same."""
LEAST_SCORE, HIGHEST_SCORE = 0.1, 2.0
"""Mean and single keypoint scores outside of these are no trained network's."""

IMAGENET = NormaliseConfig()
NONE = NormaliseConfig(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
BYTES = NormaliseConfig(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
CENTRED = NormaliseConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
ALPHAPOSE = NormaliseConfig(mean=(0.406, 0.457, 0.480), std=(1.0, 1.0, 1.0))
USUAL = {  # the most usual first
    "ImageNet's mean and std (mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225])": IMAGENET,
    "values in 0..1 (no mean, std or scale)": NONE,
    "bytes (scale: 255)": BYTES,
    "values in -1..1 (mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5])": CENTRED,
    "AlphaPose's mean (mean: [0.406, 0.457, 0.480])": ALPHAPOSE,
}


class OutputCheck:
    """Looks at the first batch of an estimator, and warns at most once.

    Args:
        source: the network, as the warning names it.
        bgr: whether the description says that it wants blue first.
    """

    def __init__(self, source: str, *, bgr: bool) -> None:
        self.source, self.bgr = source, bgr

    def __call__(self, estimator: PoseEstimator, crops: UInt8[np.ndarray, "B h w 3"]) -> None:
        """Warn where the outputs for these crops look wrong."""
        if len(crops) >= FEWEST and (text := self.describe(estimator, crops[:MOST])) is not None:
            warn(f"{self.source}: its outputs look wrong on the first {min(len(crops), MOST)} people: {text}. See docs/onnx.md.")

    @torch.inference_mode()
    def describe(self, estimator: PoseEstimator, crops: UInt8[np.ndarray, "B h w 3"]) -> str | None:
        """What looks wrong; None where nothing does."""
        images = torch.from_numpy(np.ascontiguousarray(crops)).to(estimator.device).permute(0, 3, 1, 2)
        given = estimator.saved.model.normalise
        own = normalise_images(images, given)
        scores = score(estimator, own)
        mean, highest = float(scores.mean()), float(scores.max())
        if not np.isfinite([mean, highest]).all():
            return "they are not finite. Check mean, std and scale of its description"
        if highest > HIGHEST_SCORE:
            return f"a keypoint scores {highest:.3g}, where heat maps stay about 1. Check codec, mean, std and scale of its description"
        tried = {
            (name, bgr): (values.flip(1) if bgr != self.bgr else values)
            for name, normalise in USUAL.items()
            for values in [normalise_images(images, normalise)]
            for bgr in (False, True)
            if (normalise.mean, normalise.std, bgr) != (given.mean, given.std, self.bgr)
        }
        found = {key: value for key, inputs in tried.items() if (value := score(estimator, inputs)).max() <= HIGHEST_SCORE}
        means = {key: float(value.mean()) for key, value in found.items()}
        name, bgr = next((key for key, value in means.items() if value >= ALIKE * max(means.values())), ("", False))
        best = means.get((name, bgr), 0.0)
        if best > CLEARLY * mean and flip_distance(estimator, tried[name, bgr]) <= flip_distance(estimator, own) + ROUNDING:
            return (
                f"the mean keypoint score is {mean:.3f}, and {best:.3f} with {name}, channel_order {'bgr' if bgr else 'rgb'}. "
                "Check mean, std, scale and channel_order of its description"
            )
        if mean < LEAST_SCORE:
            return f"the mean keypoint score is {mean:.3f}. Check input, codec and skeleton of its description"
        return None


def score(estimator: PoseEstimator, inputs: Float[Tensor, "B 3 h w"]) -> Float[np.ndarray, "B K"]:
    """Keypoint scores of normalised crops."""
    return np.asarray(estimator.codec.decode(estimator.forward(inputs))[1].float().cpu().numpy())


def flip_distance(estimator: PoseEstimator, inputs: Float[Tensor, "B 3 h w"]) -> float:
    """Mean distance in pixels between the keypoints of normalised crops and of their mirror images."""
    points, mirrored = (estimator.codec.decode(estimator.forward(part))[0].float().cpu().numpy() for part in (inputs, inputs.flip(3)))
    back = mirrored[:, estimator.skeleton.flip_permutation]
    back[..., 0] = inputs.shape[3] - 1 - back[..., 0]
    return float(np.linalg.norm(points - back, axis=-1).mean())
