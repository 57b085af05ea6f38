"""How likely a pose is a person by its score, against the scores that the stream has had so far."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MAX_EVIDENCE = 3.0
QUANTILE = 0.9


class ScoreScale:
    """The stream's own scale of scores: estimators and detectors differ in what they call a good score.

    A pose of ``middle`` x the 90 % quantile of the last ``MEMORY`` scores is as likely a person as not.
    """

    MEMORY = 512

    def __init__(self, middle: float, slope: float) -> None:
        """A scale that has seen nothing."""
        self._middle, self._slope = middle, slope
        self.last = np.zeros(0)

    def update(self, scores: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Log odds of each pose being a person, at most ``MAX_EVIDENCE`` either way."""
        self.last = np.concatenate([self.last, scores])[-self.MEMORY :]
        if not len(scores):
            return np.zeros(0)
        middle = max(self._middle * float(np.quantile(self.last, QUANTILE)), 1e-9)
        return np.clip(self._slope * (scores / middle - 1), -MAX_EVIDENCE, MAX_EVIDENCE)
