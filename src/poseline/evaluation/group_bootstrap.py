"""Confidence by resampling what belongs together: parts of one body, groups of MPII."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from poseline.evaluation.bootstrap import draw_weights, resample
from poseline.metrics.keypoint_types import CocoScore
from poseline.metrics.mpii_map import LabelledGroups, rate_groups

Intervals = dict[str, tuple[float, float]]


def bootstrap_parts(scores: Mapping[str, CocoScore], *, resamples: int, seed: int, confidence: float = 0.95) -> Intervals:
    """The percentile intervals of what ``summarize_parts`` gives, and of ap50 and ap75 of the whole; the same pictures for all parts."""
    weights = draw_weights(len(scores["whole"].matches.image_ids), resamples, seed)
    drawn = resample(scores["whole"].matches, weights, ["ap", "ap50", "ap75", "ar"])
    for part, score in scores.items():
        values = resample(score.matches, weights, ["ap", "ar"])
        drawn |= {f"{kind}_{part}": values[kind] for kind in ("ap", "ar")}
    if "lefthand" in scores:
        for kind in ("ap", "ar"):
            drawn[f"{kind}_hand"] = (drawn[f"{kind}_lefthand"] + drawn[f"{kind}_righthand"]) / 2
    return percentile_intervals(drawn, confidence)


def bootstrap_groups(labelled: LabelledGroups, *, resamples: int, seed: int, confidence: float = 0.95) -> Intervals:
    """The percentile intervals of MPII's multi-person mAP and its parts over resampled groups."""
    rated = [rate_groups(labelled, row.astype(np.int64)).metrics for row in draw_weights(len(labelled.group_ids), resamples, seed)]
    return percentile_intervals(_columns(rated), confidence)


def percentile_intervals(drawn: Mapping[str, Float[np.ndarray, " B"]], confidence: float = 0.95) -> Intervals:
    """The central interval of each metric's resamples; those without any value are left out.

    >>> percentile_intervals({"ap": np.array([0.0, 0.5, 1.0]), "ar": np.array([np.nan])}, 0.5)
    {'ap': (0.25, 0.75)}
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = {name: values[~np.isnan(values)] for name, values in drawn.items()}
    ends = {name: np.quantile(values, tails) for name, values in known.items() if len(values)}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _columns(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Float[np.ndarray, " B"]]:
    return {name: np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64) for name in rows[0]}
