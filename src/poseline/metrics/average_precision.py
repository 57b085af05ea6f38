"""Average precision from a table of matches, with a weight for each picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from poseline.metrics.keypoint_types import RECALL_POINTS, MatchTable


def precision_recall(matches: MatchTable) -> tuple[Float[np.ndarray, "S T 101"], Float[np.ndarray, "S T"]]:
    """Interpolated precision at the 101 recall points, and the highest recall; NaN in a slice that asks for nobody.

    Reference:
        pycocotools ``accumulate``, the same bits.
    """
    num_slices, num_thresholds = len(matches.slices), len(matches.thresholds)
    precision = np.full((num_slices, num_thresholds, len(RECALL_POINTS)), np.nan)
    recall = np.full((num_slices, num_thresholds), np.nan)
    order = np.argsort(-matches.scores, kind="stable")
    found, ignored = matches.matched[:, order], matches.ignored[:, order]
    for s in range(num_slices):
        asked = int(matches.truth_counts[s].sum())
        if not asked:
            continue
        for t in range(num_thresholds):
            precision[s, t], recall[s, t] = interpolate_precision(found[s, :, t], ~ignored[s, :, t], asked)
    return precision, recall


def interpolate_precision(
    found: Bool[np.ndarray, " D"], counted: Bool[np.ndarray, " D"], asked: int
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
    return curve_at_recall_points(true_positives, false_positives, asked), float(true_positives[-1] / asked)


def curve_at_recall_points(
    true_positives: Float[np.ndarray, " H"], false_positives: Float[np.ndarray, " H"], asked: float
) -> Float[np.ndarray, " 101"]:
    """Interpolated precision from the running (weighted) counts at each hit."""
    return interpolate_at_recall_points(true_positives / asked, true_positives / (false_positives + true_positives + np.spacing(1.0)))


def interpolate_at_recall_points(recall: Float[np.ndarray, " H"], precision: Float[np.ndarray, " H"]) -> Float[np.ndarray, " 101"]:
    """The best precision at each of the 101 recall points or beyond; 0 beyond the highest recall.

    >>> interpolate_at_recall_points(np.array([0.5, 1.0]), np.array([0.6, 0.8]))[[0, 50, 51, 100]].tolist()
    [0.8, 0.8, 0.8, 0.8]
    """
    envelope = np.empty(len(precision) + 1)
    envelope[-1] = 0.0
    np.maximum.accumulate(precision[::-1], out=envelope[-2::-1])
    return envelope[np.searchsorted(recall, RECALL_POINTS, side="left")]
