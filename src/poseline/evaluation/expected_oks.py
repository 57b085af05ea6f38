"""Rescoring of poses by the OKS that may be expected of them: the fit, and what it does to AP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from poseline.errors import DataError
from poseline.evaluation.diagnosis import best_oks
from poseline.infer.expected_oks import FEATURES, ExpectedOks, logistic, stack_features
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions


def fit_expected_oks(
    ground_truth: GroundTruth,
    predictions: Predictions,
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    penalty: float = 1.0,
    steps: int = 25,
) -> ExpectedOks:
    """The model fitted to a held-out part of the training set, never to the set that is scored.

    Logistic regression of OKS (a fraction) by Newton's method with a ridge penalty.

    Raises:
        DataError: fewer than 20 detections to learn from.
    """
    if len(predictions) < 20:
        raise DataError(f"expected-OKS rescoring: {len(predictions)} detections to fit, expected at least 20. Hold out more images.")
    features = describe_poses(predictions)
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    design = np.concatenate([(features - mean) / spread, np.ones((len(features), 1))], axis=1)
    target = best_oks(ground_truth, predictions, sigmas=sigmas)
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


def rescore(predictions: Predictions, model: ExpectedOks) -> Predictions:
    """The same poses scored by the OKS that the model expects of them."""
    return replace(predictions, scores=model.predict(describe_poses(predictions)))


def compare_rescoring(
    ground_truth: GroundTruth, predictions: Predictions, model: ExpectedOks, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> tuple[float | None, float | None]:
    """AP before and after rescoring."""
    before, after = (score_coco(ground_truth, poses, sigmas=sigmas).metrics["ap"] for poses in (predictions, rescore(predictions, model)))
    return before, after


def describe_poses(predictions: Predictions) -> Float[np.ndarray, "N F"]:
    """What the network says of each pose: the columns of :data:`FEATURES`."""
    return stack_features(predictions.scores, predictions.keypoint_scores, predictions.area)
