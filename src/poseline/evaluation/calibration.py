"""Scores that mean something: reliability of scores, and rescoring by the OKS that a pose may be expected to have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from poseline.errors import DataError
from poseline.evaluation.error_kinds import NEAR_FROM, Diagnosis, best_oks
from poseline.infer.expected_oks import FEATURES, ExpectedOks, logistic, stack_features
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import CocoResults, CocoTruth

__all__ = [
    "FEATURES",
    "ExpectedOks",
    "Reliability",
    "compare_rescoring",
    "describe_poses",
    "fit_expected_oks",
    "measure_keypoints",
    "measure_poses",
    "measure_reliability",
    "rescore",
]


@dataclass(frozen=True)
class Reliability:
    """How often what a score promises comes true, in equal bins of the score from 0 to 1.

    Attributes:
        mean_score: [B]; NaN in an empty bin.
        mean_outcome: [B]; NaN in an empty bin.
        counts: [B].
        error: expected calibration error, 0..1: the mean gap between the two, weighted by the counts.
    """

    mean_score: Float[np.ndarray, " B"]
    mean_outcome: Float[np.ndarray, " B"]
    counts: Float[np.ndarray, " B"]
    error: float


def measure_reliability(scores: Float[np.ndarray, " N"], outcomes: Float[np.ndarray, " N"], *, bins: int = 10) -> Reliability:
    """The reliability curve of scores in 0..1 (clipped) against outcomes in 0..1.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (expected calibration error).

    >>> measure_reliability(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1.0, 1, 1, 0]), bins=2).error
    0.15
    """
    scores, outcomes = np.clip(np.asarray(scores, dtype=np.float64), 0, 1), np.asarray(outcomes, dtype=np.float64)
    index = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins).astype(np.float64)
    sums = [np.bincount(index, values, minlength=bins) for values in (scores, outcomes)]
    means = [np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums]
    gap = float(np.abs(sums[0] - sums[1]).sum() / max(counts.sum(), 1))
    return Reliability(mean_score=means[0], mean_outcome=means[1], counts=counts, error=round(gap, 12))


def measure_keypoints(results: CocoResults, diagnosis: Diagnosis, *, bins: int = 10) -> Reliability:
    """Reliability of keypoint scores: does a keypoint of score s lie near the truth (similarity 0.5) in a share s of cases?"""
    labelled = diagnosis.kinds >= 0
    return measure_reliability(
        results.keypoint_scores[diagnosis.detection_index][labelled], diagnosis.similarity[labelled] >= NEAR_FROM, bins=bins
    )


def measure_poses(truth: CocoTruth, results: CocoResults, *, sigmas: Float[np.ndarray, " K"] | None = None, bins: int = 10) -> Reliability:
    """Reliability of pose scores as a promise of OKS."""
    return measure_reliability(results.scores, best_oks(truth, results, sigmas=sigmas), bins=bins)


def fit_expected_oks(
    truth: CocoTruth, results: CocoResults, *, sigmas: Float[np.ndarray, " K"] | None = None, penalty: float = 1.0, steps: int = 25
) -> ExpectedOks:
    """The model fitted to a held-out part of the training set, never to the set that is scored.

    Logistic regression of OKS (a fraction) by Newton's method with a ridge penalty.

    Raises:
        DataError: fewer than 20 detections to learn from.
    """
    if len(results) < 20:
        raise DataError(f"expected-OKS rescoring: {len(results)} detections to fit, expected at least 20. Hold out more pictures.")
    features = describe_poses(results)
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    design = np.concatenate([(features - mean) / spread, np.ones((len(features), 1))], axis=1)
    target = best_oks(truth, results, sigmas=sigmas)
    ridge = penalty * np.diag([1.0] * len(FEATURES) + [1e-6])
    weights = np.zeros(design.shape[1])
    for _ in range(steps):
        expected = logistic(design @ weights)
        gradient = design.T @ (expected - target) + ridge @ weights
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    return ExpectedOks(tuple(weights.tolist()), tuple(mean.tolist()), tuple(spread.tolist()))


def rescore(results: CocoResults, model: ExpectedOks) -> CocoResults:
    """The same poses scored by the OKS that the model expects of them."""
    return replace(results, scores=model.predict(describe_poses(results)))


def compare_rescoring(
    truth: CocoTruth, results: CocoResults, model: ExpectedOks, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> tuple[float | None, float | None]:
    """AP before and after rescoring."""
    before, after = (score_coco(truth, poses, sigmas=sigmas).metrics["ap"] for poses in (results, rescore(results, model)))
    return before, after


def describe_poses(results: CocoResults) -> Float[np.ndarray, "N F"]:
    """What the network says of each pose: the columns of :data:`FEATURES`."""
    return stack_features(results.scores, results.keypoint_scores, results.area)
