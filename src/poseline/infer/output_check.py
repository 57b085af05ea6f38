"""A look at what a network from elsewhere gives for the first people: scores that no trained network gives, or an input not made for it.

The shapes of a network's outputs show a wrong codec; a wrong normalisation or channel order only lowers the scores. On people whom a
network was trained for, the right input gives the highest ones, so the usual inputs are tried beside the one that was described.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poseline.config import NormaliseConfig
from poseline.infer.estimator import PoseEstimator
from poseline.models.normalise import normalise_images
from poseline.progress import warn

FEWEST, MOST = 8, 32
"""People that are looked at."""
CLEARLY = 1.08
"""Another input must raise the mean keypoint score by this factor to be named."""
LEAST_SCORE, HIGHEST_SCORE = 0.1, 2.0
"""Mean and single keypoint scores outside of these are no trained network's."""

IMAGENET = NormaliseConfig()
NONE = NormaliseConfig(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
BYTES = NormaliseConfig(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
CENTRED = NormaliseConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
ALPHAPOSE = NormaliseConfig(mean=(0.406, 0.457, 0.480), std=(1.0, 1.0, 1.0))
USUAL = {
    "ImageNet's mean and std (mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225])": IMAGENET,
    "values in 0..1 (no mean, std or scale)": NONE,
    "bytes (scale: 255)": BYTES,
    "values in -1..1 (mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5])": CENTRED,
    "AlphaPose's mean (mean: [0.406, 0.457, 0.480])": ALPHAPOSE,
}


@dataclass(frozen=True)
class Quality:
    """How sure a network is, and how well it agrees with itself.

    Attributes:
        score: mean keypoint score.
        highest: the highest keypoint score.
        flip_px: mean distance between the keypoints of a crop and of its mirror image.
    """

    score: float
    highest: float
    flip_px: float


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
        own = measure(estimator, normalise_images(images, given))
        if not np.isfinite([own.score, own.highest]).all():
            return "they are not finite. Check mean, std and scale of its description"
        if own.highest > HIGHEST_SCORE:
            return f"a keypoint scores {own.highest:.3g}, where heat maps stay about 1. Check codec, mean, std and scale of its description"
        found = {}
        for name, normalise in USUAL.items():
            for bgr in (False, True):
                if (normalise.mean, normalise.std, bgr) == (given.mean, given.std, self.bgr):
                    continue
                values = normalise_images(images, normalise)
                inputs = values.flip(1) if bgr != self.bgr else values
                found[name, bgr] = measure(estimator, inputs)
        (name, bgr), best = max(found.items(), key=lambda pair: pair[1].score if pair[1].highest <= HIGHEST_SCORE else -1.0)
        if best.score > CLEARLY * own.score and best.highest <= HIGHEST_SCORE and best.flip_px <= own.flip_px:
            return (
                f"the mean keypoint score is {own.score:.3f}, and {best.score:.3f} with {name}, channel_order {'bgr' if bgr else 'rgb'}. "
                "Check mean, std, scale and channel_order of its description"
            )
        if own.score < LEAST_SCORE:
            return f"the mean keypoint score is {own.score:.3f}. Check input, codec and skeleton of its description"
        return None


def measure(estimator: PoseEstimator, inputs: Float[Tensor, "B 3 h w"]) -> Quality:
    """The quality of a network's outputs for normalised crops."""
    keypoints, scores = (part.float().cpu().numpy() for part in estimator.codec.decode(estimator.forward(inputs)))
    mirrored, _ = (part.float().cpu().numpy() for part in estimator.codec.decode(estimator.forward(inputs.flip(3))))
    back = mirrored[:, estimator.skeleton.flip_permutation]
    back[..., 0] = inputs.shape[3] - 1 - back[..., 0]
    return Quality(float(scores.mean()), float(scores.max()), float(np.linalg.norm(keypoints - back, axis=-1).mean()))
