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
    return interpolate_at_recall_points(true_positives / num_people, true_positives / (false_positives + true_positives + np.spacing(1.0)))


def interpolate_at_recall_points(recall: Float[np.ndarray, " H"], precision: Float[np.ndarray, " H"]) -> Float[np.ndarray, " 101"]:
    """The best precision at each of the 101 recall points or beyond; 0 beyond the highest recall.

    >>> interpolate_at_recall_points(np.array([0.5, 1.0]), np.array([0.6, 0.8]))[[0, 50, 51, 100]].tolist()
    [0.8, 0.8, 0.8, 0.8]
    """
    envelope = np.empty(len(precision) + 1)
    envelope[-1] = 0.0
    np.maximum.accumulate(precision[::-1], out=envelope[-2::-1])
    return envelope[np.searchsorted(recall, RECALL_POINTS, side="left")]
