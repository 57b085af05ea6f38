"""What scores promise against what happens: reliability curves and calibration errors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from poseline.core.skeletons import Skeleton
from poseline.datasets.score import Calibration, Reliability, ReliabilityBin
from poseline.evaluation.diagnosis import NEAR_FROM, KeypointErrors, best_oks
from poseline.metrics.keypoint_types import GroundTruth, Predictions


def describe_calibration(ground_truth: GroundTruth, predictions: Predictions, errors: KeypointErrors, skeleton: Skeleton) -> Calibration:
    """The section of a score: keypoint scores against similarity 0.5, pose scores against OKS."""
    return Calibration(
        keypoint_scores=measure_keypoints(predictions, errors),
        pose_scores=measure_poses(ground_truth, predictions, sigmas=skeleton.sigma_array),
    )


def measure_reliability(scores: Float[np.ndarray, " N"], outcomes: Shaped[np.ndarray, " N"], *, bins: int = 10) -> Reliability:
    """How often what scores in 0..1 (clipped) promise comes true: outcomes in 0..1 over equal bins of the score.

    The expected calibration error is the mean gap between the two, weighted by the counts.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (expected calibration error).

    >>> measure_reliability(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1.0, 1, 1, 0]), bins=2).ece
    0.15
    """
    scores, outcomes = np.clip(np.asarray(scores, dtype=np.float64), 0, 1), np.asarray(outcomes, dtype=np.float64)
    index = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins).astype(np.float64)
    sums = [np.bincount(index, values, minlength=bins) for values in (scores, outcomes)]
    means = [np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums]
    gap = float(np.abs(sums[0] - sums[1]).sum() / max(counts.sum(), 1))
    columns = zip(means[0].tolist(), means[1].tolist(), counts.tolist(), strict=True)
    rows = [ReliabilityBin(score=score, outcome=outcome, count=int(count)) for score, outcome, count in columns]
    return Reliability(ece=round(gap, 12), bins=rows)


def measure_keypoints(predictions: Predictions, errors: KeypointErrors, *, bins: int = 10) -> Reliability:
    """Reliability of keypoint scores: does a keypoint of score s lie near the ground truth (similarity 0.5) in a fraction s of cases?"""
    labelled = errors.kinds >= 0
    return measure_reliability(
        predictions.keypoint_scores[errors.detection_index][labelled], errors.similarity[labelled] >= NEAR_FROM, bins=bins
    )


def measure_poses(
    ground_truth: GroundTruth, predictions: Predictions, *, sigmas: Float[np.ndarray, " K"] | None = None, bins: int = 10
) -> Reliability:
    """Reliability of pose scores as a promise of OKS."""
    return measure_reliability(predictions.scores, best_oks(ground_truth, predictions, sigmas=sigmas), bins=bins)
