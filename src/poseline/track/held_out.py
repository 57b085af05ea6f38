"""What a search of parameters gains on sequences that it did not see: leave one sequence out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

MIN_SEQUENCES = 3


@dataclass(frozen=True)
class HeldOut:
    """Gain of the chosen candidates on the sequences left out.

    Attributes:
        chosen: candidate chosen without each sequence.
        gains: its score there less the present parameters'.
        interval: 95 % interval of the mean gain over sequences (Student's t, corrected for choices that share sequences).
        best: candidate of the greatest mean over all sequences.
    """

    chosen: tuple[int, ...]
    gains: tuple[float, ...]
    interval: tuple[float, float]
    best: int

    @property
    def gain(self) -> float:
        """Mean gain over the sequences."""
        return float(np.mean(self.gains))

    @property
    def held(self) -> bool:
        """Whether the gain is above 0 beyond what the choice of sequences explains."""
        return self.best != 0 and self.interval[0] > 0


def leave_one_out(scores: Float[np.ndarray, "C S"]) -> HeldOut:
    """The gain of choosing on all sequences but one, measured on that one; row 0 is the present parameters, and wins ties.

    The choices share most of their sequences, so the interval is wider than that of independent gains.

    Reference:
        Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 2003 (the corrected variance).

    >>> result = leave_one_out(np.array([[0.5, 0.4, 0.6], [0.6, 0.5, 0.7], [0.9, 0.0, 0.0]]))
    >>> result.chosen, round(result.gain, 3), result.held
    ((1, 1, 1), 0.1, True)

    Raises:
        ValueError: fewer than three sequences.
    """
    count = scores.shape[1]
    if count < MIN_SEQUENCES:
        raise ValueError(f"leave one out: {count} sequences, at least {MIN_SEQUENCES} are needed")
    others = scores.sum(axis=1, keepdims=True) - scores
    chosen = others.argmax(axis=0)
    gains = scores[chosen, np.arange(count)] - scores[0]
    reach = float(student.ppf(0.975, count - 1) * gains.std(ddof=1) * np.sqrt(1 / count + 1 / (count - 1)))
    mean = float(gains.mean())
    return HeldOut(tuple(chosen.tolist()), tuple(gains.tolist()), (mean - reach, mean + reach), int(scores.mean(axis=1).argmax()))
