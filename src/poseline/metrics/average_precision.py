"""Interpolated precision over recall by COCO's rule."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


def interpolate_precision(
    found: Bool[np.ndarray, " D"], counted: Bool[np.ndarray, " D"], num_people: int
) -> tuple[Float[np.ndarray, " 101"], float]:
    """Precision at the 101 recall points and the highest recall of detections in the order of their scores.

    Precision at a recall is the best at that recall or beyond; it peaks at hits only, so only those are looked at.

    >>> curve, recall = interpolate_precision(np.array([True, False, True]), np.array([True, True, True]), 2)
    >>> curve[[0, 50, 51, 100]].round(4).tolist(), recall
    ([1.0, 1.0, 0.6667, 0.6667], 1.0)
    """
    hits = np.flatnonzero(found & counted)
    if not len(hits):
        return np.zeros(len(RECALL_POINTS)), 0.0
    true_positives = np.arange(1, len(hits) + 1, dtype=np.float64)
    false_positives = np.cumsum(counted)[hits] - true_positives
    return curve_at_recall_points(true_positives, false_positives, num_people), float(true_positives[-1] / num_people)


def curve_at_recall_points(
    true_positives: Float[np.ndarray, " H"], false_positives: Float[np.ndarray, " H"], num_people: float
) -> Float[np.ndarray, " 101"]:
    """Interpolated precision from the running (weighted) counts at each hit."""
    envelope = np.empty(len(true_positives) + 1)
    envelope[-1] = 0.0
    np.divide(true_positives, false_positives + true_positives + np.spacing(1.0), out=envelope[:-1])
    envelope[-2::-1] = np.maximum.accumulate(envelope[-2::-1])
    return envelope[np.searchsorted(true_positives / num_people, RECALL_POINTS, side="left")]
