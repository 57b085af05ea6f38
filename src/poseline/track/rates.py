"""How often tracked people are detected, measured on the stream: those seen in the last frame, and those missed there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

PRIOR_RATE, PRIOR_CHANCES = 0.9, 20.0
MEMORY = 200.0  # chances after which older ones fade
LIMITS = (0.02, 0.98)  # of a rate: no stream proves a certainty


class DetectionRates:
    """Counts of people detected among those that could be.

    Where misses are accidents, a person missed once is detected as often as any other. Where people are hidden by others, one who was
    missed stays missed, so a lone detection between two tracks belongs to the one that was seen last.

    Reference:
        Bar-Shalom and Li, Multitarget-Multisensor Tracking, 1995 (a pair against none: log p / (1 - p) of the detection probability).
    """

    def __init__(self) -> None:
        """Rates of a stream that has shown nothing."""
        self.counts = np.array([[PRIOR_RATE, 1.0]] * 2) * PRIOR_CHANCES

    def update(self, detected: Bool[np.ndarray, " T"], seen_last: Bool[np.ndarray, " T"], missed_last: Bool[np.ndarray, " T"]) -> None:
        """Count one frame's tracks; those in neither group are left out."""
        for row, group in enumerate((seen_last, missed_last)):
            self.counts[row] += ((detected & group).sum(), group.sum())
            self.counts[row] *= min(1.0, MEMORY / self.counts[row, 1])

    def missed_cost(self) -> float:
        """Evidence that a pair loses where the track was not seen in the last frame: the difference of the rates' log odds, at least 0.

        >>> DetectionRates().missed_cost()
        0.0
        """
        rate: Float[np.ndarray, " 2"] = np.clip(self.counts[:, 0] / self.counts[:, 1], *LIMITS)
        seen, missed = np.log(rate) - np.log1p(-rate)
        return float(max(seen - missed, 0.0))
