"""How likely a pose is a person by its score, against the scores that the stream has had so far."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MAX_EVIDENCE = 3.0
QUANTILE = 0.9


class ScoreScale:
    """The stream's own scale of scores: estimators and detectors differ in what they call a good score.

    A pose of ``relative`` x the 90 % quantile of the last ``MEMORY`` scores is as likely a person as not.
    """

    MEMORY = 512

    def __init__(self, relative: float, least: float, slope: float) -> None:
        """A scale that has seen nothing; the middle is never below ``least``."""
        self._relative, self._least, self._slope = relative, least, slope
        self.last = np.zeros(0)

    def update(self, scores: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, " N"], float]:
        """Log odds of each pose being a person, at most ``MAX_EVIDENCE`` either way, and the score at which they are 0."""
        self.last = np.concatenate([self.last, scores])[-self.MEMORY :]
        middle = max(self._least, self._relative * float(np.quantile(self.last, QUANTILE))) if len(self.last) else self._least
        odds = self._slope * (scores / max(middle, 1e-9) - 1)
        return np.clip(odds, -MAX_EVIDENCE, MAX_EVIDENCE), middle
