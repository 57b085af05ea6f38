"""Scores that mean something: reliability of scores, and rescoring by the OKS that a pose may be expected to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from poseline.errors import ArtifactError, DataError
from poseline.metrics.coco_ap import score_coco
from poseline.metrics.coco_types import CocoResults, CocoTruth
from poseline.metrics.errors import NEAR_FROM, Diagnosis, best_oks

FEATURES = ("pose_score", "mean_keypoint_score", "max_keypoint_score", "min_keypoint_score", "keypoint_score_spread", "log_area")


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


@dataclass(frozen=True)
class ExpectedOks:
    """A logistic model of the OKS of a pose from what the network says of it.

    Attributes:
        weights: [F + 1], the last is the offset.
        mean: [F], of the features it was fitted on.
        spread: [F], their standard deviations.
    """

    weights: tuple[float, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    def to_dict(self) -> dict[str, list[float]]:
        """Plain values for a JSON file."""
        return {"weights": list(self.weights), "mean": list(self.mean), "spread": list(self.spread)}

    @classmethod
    def from_dict(cls, values: Mapping[str, list[float]]) -> ExpectedOks:
        """The model from plain values.

        Raises:
            ArtifactError: numbers are missing.
        """
        try:
            model = cls(tuple(values["weights"]), tuple(values["mean"]), tuple(values["spread"]))
        except KeyError as error:
            raise ArtifactError(f"expected-OKS model: {error} is missing. Fit it again.") from None
        if (len(model.weights), len(model.mean), len(model.spread)) != (len(FEATURES) + 1, len(FEATURES), len(FEATURES)):
            raise ArtifactError(f"expected-OKS model: {len(model.mean)} features, expected {len(FEATURES)}. Fit it again.")
        return model


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
        expected = _logistic(design @ weights)
        gradient = design.T @ (expected - target) + ridge @ weights
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    return ExpectedOks(tuple(weights.tolist()), tuple(mean.tolist()), tuple(spread.tolist()))


def rescore(results: CocoResults, model: ExpectedOks) -> CocoResults:
    """The same poses scored by the OKS that the model expects of them."""
    features = (describe_poses(results) - np.array(model.mean)) / np.array(model.spread)
    return replace(results, scores=_logistic(features @ np.array(model.weights[:-1]) + model.weights[-1]))


def compare_rescoring(
    truth: CocoTruth, results: CocoResults, model: ExpectedOks, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> tuple[float | None, float | None]:
    """AP before and after rescoring."""
    before, after = (score_coco(truth, poses, sigmas=sigmas).metrics["ap"] for poses in (results, rescore(results, model)))
    return before, after


def describe_poses(results: CocoResults) -> Float[np.ndarray, "N F"]:
    """What the network says of each pose: the columns of :data:`FEATURES`."""
    scores = results.keypoint_scores
    columns = [results.scores, scores.mean(axis=1), scores.max(axis=1), scores.min(axis=1), scores.std(axis=1)]
    return np.stack([*columns, np.log1p(np.maximum(results.area, 0))], axis=1)


def _logistic(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return 1 / (1 + np.exp(-np.clip(values, -40, 40)))
