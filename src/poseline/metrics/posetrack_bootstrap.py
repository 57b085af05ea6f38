"""Confidence intervals of PoseTrack figures by resampling videos."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from poseline.metrics.posetrack_score import JOINTS, PoseTrackScore, rate_tracking


def bootstrap_posetrack(score: PoseTrackScore, *, resamples: int, seed: int, confidence: float = 0.95) -> dict[str, tuple[float, float]]:
    """The percentile intervals of map, mota, motp, precision and recall over resampled videos; all from the same resamples.

    Each video is drawn whole, as its frames are not independent; with few videos the intervals are rough. A single video has
    no spread: both ends are its figure.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval).
    """
    videos = list(score.sequences.values())
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(videos), np.full(len(videos), 1 / len(videos)), size=resamples)
    counts = np.tensordot(weights.astype(np.float64), np.stack([video.counts for video in videos]), axes=1)
    tracking = _mean_defined(rate_tracking(counts, score.mode))
    drawn = {"map": resample_map(score, weights), **dict(zip(("mota", "motp", "precision", "recall"), tracking.T, strict=True))}
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    ends = {name: np.quantile(values[~np.isnan(values)], tails) for name, values in drawn.items() if not np.isnan(values).all()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def resample_map(score: PoseTrackScore, weights: Float[np.ndarray, "B S"]) -> Float[np.ndarray, " B"]:
    """The mAP of each weighting of the videos; a weight is how often a video was drawn."""
    videos = list(score.sequences.values())
    sizes = [len(video.detections.present) for video in videos]
    owner = np.repeat(np.arange(len(videos)), sizes)
    present, labels = (np.concatenate([getattr(video.detections, name) for video in videos]) for name in ("present", "labels"))
    scores = np.concatenate([video.detections.scores for video in videos])
    num_truth = weights @ np.stack([video.detections.num_truth for video in videos])
    ap = np.empty((len(weights), len(JOINTS)))
    for j in range(len(JOINTS)):
        rows = np.flatnonzero(present[:, j])
        order = rows[np.argsort(-scores[rows, j], kind="stable")]
        ap[:, j] = _weighted_ap(labels[order, j], weights[:, owner[order]], num_truth[:, j])
    return _mean_defined(ap)


def _weighted_ap(
    labels: Bool[np.ndarray, " D"], weights: Float[np.ndarray, "B D"], num_truth: Float[np.ndarray, " B"]
) -> Float[np.ndarray, " B"]:
    """AP of ranked detections, each counted as often as its weight says; NaN without truth."""
    hits = np.cumsum(weights * labels, axis=1)
    precision = hits / np.maximum(np.cumsum(weights, axis=1), 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    area = (np.diff(hits, axis=1, prepend=0) * envelope).sum(axis=1)
    ap: Float[np.ndarray, " B"] = np.divide(area, num_truth, out=np.full(len(area), np.nan), where=num_truth > 0)
    return ap


def _mean_defined(values: Float[np.ndarray, "... J"]) -> Float[np.ndarray, "..."]:
    """Mean over the last axis of what is not NaN; NaN where all is."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    count = defined.sum(axis=-1)
    mean: Float[np.ndarray, "..."] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
