"""A pose's score as the OKS that may be expected of it: a logistic model of what the network says of the pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError

from poseline.config.params import Yaml, describe_validation_error
from poseline.errors import ArtifactError

FEATURES = ("pose_score", "mean_keypoint_score", "max_keypoint_score", "min_keypoint_score", "keypoint_score_spread", "log_area")
FLOATS = TypeAdapter(tuple[float, ...])


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
    def from_dict(cls, values: Mapping[str, Yaml]) -> ExpectedOks:
        """The model from plain values; other keys are left alone.

        Raises:
            ArtifactError: numbers are missing.
        """
        try:
            model = cls(*(FLOATS.validate_python(values[name]) for name in ("weights", "mean", "spread")))
        except (KeyError, ValidationError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else describe_validation_error(error)
            raise ArtifactError(f"expected-OKS model: {reason}. Fit it again.") from None
        if (len(model.weights), len(model.mean), len(model.spread)) != (len(FEATURES) + 1, len(FEATURES), len(FEATURES)):
            raise ArtifactError(f"expected-OKS model: {len(model.mean)} features, expected {len(FEATURES)}. Fit it again.")
        return model

    def predict(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """The OKS to expect, 0..1."""
        scaled = (features - np.array(self.mean)) / np.array(self.spread)
        return logistic(scaled @ np.array(self.weights[:-1]) + self.weights[-1])


def stack_features(
    pose_scores: Float[np.ndarray, " N"], keypoint_scores: Float[np.ndarray, "N K"], area: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "N F"]:
    """What the network says of each pose: the columns of :data:`FEATURES`; area in px²."""
    scores = np.asarray(keypoint_scores, dtype=np.float64)
    columns = [pose_scores, scores.mean(axis=1), scores.max(axis=1), scores.min(axis=1), scores.std(axis=1)]
    return np.stack([*columns, np.log1p(np.maximum(area, 0))], axis=1)


def logistic(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """1 / (1 + exp(-x)).

    >>> logistic(np.array([0.0])).tolist()
    [0.5]
    """
    result: Float[np.ndarray, " N"] = 1 / (1 + np.exp(-np.clip(values, -40, 40)))
    return result
