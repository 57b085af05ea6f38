"""Confidence by resampling pictures or videos: intervals for a score, and for the difference of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from poseline.errors import DataError
from poseline.metrics.average_precision import curve_at_recall_points
from poseline.metrics.keypoint_types import RECALL_POINTS, CocoScore, MatchTable
from poseline.metrics.pckh import AUC_THRESHOLDS, MPII_GROUPS, MPII_MEAN_JOINTS
from poseline.metrics.video_table import VideoTable, rate_videos

FEWEST = 6
"""Pictures or videos below which no difference is called significant: even if all of five agree, chance does so in 1 of 16."""
PCKH_LIMITS = {"pckh": 0.5, "pckh_01": 0.1}


@dataclass(frozen=True)
class DistanceTable:
    """PCKh distances by picture; enough to score any re-weighting of pictures.

    Attributes:
        image_ids: int64 [I], ascending.
        image_index: int64 [N], each person's picture.
        distances: float64 [N, 16], head sizes; NaN where not annotated.
    """

    unit: ClassVar[str] = "pictures"
    image_ids: Int[np.ndarray, " I"]
    image_index: Int[np.ndarray, " N"]
    distances: Float[np.ndarray, "N 16"]

    @classmethod
    def from_people(cls, image_ids: Int[np.ndarray, " N"], distances: Float[np.ndarray, "N 16"]) -> DistanceTable:
        """The table from each person's image id and distances."""
        ids, index = np.unique(np.asarray(image_ids, dtype=np.int64), return_inverse=True)
        return cls(image_ids=ids, image_index=index, distances=np.asarray(distances, dtype=np.float64))


Table = MatchTable | DistanceTable | VideoTable


@dataclass(frozen=True)
class PairedResult:
    """The second run less the first, over the same pictures (or videos).

    Attributes:
        metric: its name.
        first: value of the first run, a fraction.
        second: value of the second run.
        difference: second - first.
        low: lower end of the interval of the difference.
        high: upper end.
        confidence: of the interval.
        standard_error: of the difference.
        num_images: pictures.
        unit: what was resampled: pictures, or videos.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    confidence: float
    standard_error: float
    num_images: int
    unit: str = "pictures"


def bootstrap_ap(
    score: CocoScore | MatchTable, *, resamples: int, seed: int, confidence: float = 0.95, metric: str = "ap"
) -> tuple[float, float]:
    """The percentile interval of AP (or another metric of the table) over resampled pictures.

    Raises:
        DataError: the metric has no value (nobody is asked for).
    """
    table = score.matches if isinstance(score, CocoScore) else score
    return bootstrap_metrics(table, [metric], resamples=resamples, seed=seed, confidence=confidence)[metric]


def bootstrap_metrics(
    table: Table, metrics: Sequence[str], *, resamples: int, seed: int, confidence: float = 0.95
) -> dict[str, tuple[float, float]]:
    """The percentile interval of each metric; all from the same resamples.

    Metrics of a match table: ap, ap50, ap75, ar, ar50, ar75 and ap_SLICE, ar_SLICE for its slices. Of a distance table:
    pckh (at 0.5 head sizes), pckh_01, auc and pckh_PART. Of a video table: those of ``VideoTable.metrics``; a video is drawn
    whole, as its frames are not independent, and with few of them the intervals are rough.

    Raises:
        DataError: a metric that the table cannot give.
    """
    weights = draw_weights(len(table.image_ids), resamples, seed)
    values = resample(table, weights, metrics)
    return {name: _interval(values[name], confidence, name) for name in metrics}


def paired_bootstrap(
    first: CocoScore | Table,
    second: CocoScore | Table,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
    metric: str = "ap",
) -> PairedResult:
    """The difference of two runs in one metric: both are scored on the same resampled pictures.

    Raises:
        DataError: the tables are of different pictures, or the metric has no value in one of them.
    """
    tables = [run.matches if isinstance(run, CocoScore) else run for run in (first, second)]
    return paired_bootstrap_metrics(tables[0], tables[1], [metric], resamples=resamples, seed=seed, confidence=confidence)[0]


def paired_bootstrap_metrics(
    first: Table, second: Table, metrics: Sequence[str], *, resamples: int, seed: int, confidence: float = 0.95
) -> list[PairedResult]:
    """The difference of two runs in each metric, all from the same resamples.

    Raises:
        DataError: the tables are of different pictures, or a metric has no value in one of them.

    Reference:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13 (percentile interval).
    """
    if not np.array_equal(first.image_ids, second.image_ids):
        raise DataError(
            f"the two runs were scored on different {first.unit} ({len(first.image_ids)} and {len(second.image_ids)}). "
            "Score both on the same split."
        )
    num_images = len(first.image_ids)
    weights = draw_weights(num_images, resamples, seed)
    whole = np.ones((1, num_images), dtype=np.uint16)
    points = [resample(table, whole, metrics) for table in (first, second)]
    drawn = [resample(table, weights, metrics) for table in (first, second)]
    results = []
    for name in metrics:
        a, b = float(points[0][name][0]), float(points[1][name][0])
        if np.isnan(a) or np.isnan(b):
            raise DataError(f"metric '{name}' has no value in one of the runs: nobody is asked for. Leave it out.")
        difference = drawn[1][name] - drawn[0][name]
        low, high = _interval(difference, confidence, name)
        error = float(np.nanstd(difference))
        results.append(PairedResult(name, a, b, b - a, low, high, confidence, error, num_images, first.unit))
    return results


def draw_weights(num_images: int, resamples: int, seed: int) -> Int[np.ndarray, "B I"]:
    """How often each picture is drawn in each resample, uint16; the same for the same numbers.

    >>> draw_weights(5, 3, 0).sum(axis=1).tolist()
    [5, 5, 5]
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, num_images), dtype=np.uint16)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, num_images, num_images), minlength=num_images)
    return weights


def resample(table: Table, weights: Int[np.ndarray, "B I"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
    """Each metric under each row of picture weights; NaN where nobody is asked for. Weights of one give the score itself.

    Raises:
        DataError: a metric that the table cannot give.
    """
    if isinstance(table, VideoTable):
        return {name: rate_videos(table, weights, name) for name in metrics}
    if isinstance(table, DistanceTable):
        return {name: _resample_pckh(table, weights, name) for name in metrics}
    wanted = {name: _read_metric(name, table) for name in metrics}
    values = {name: np.full(len(weights), np.nan) for name in metrics}
    for index in {slice_index for _, slice_index, _ in wanted.values()}:
        members = {name: spec for name, spec in wanted.items() if spec[1] == index}
        levels = {level for _, _, level in members.values()}
        chosen = list(range(len(table.thresholds))) if None in levels else sorted(level for level in levels if level is not None)
        for b, (precision, recall) in enumerate(_resample_slice(table, index, chosen, weights)):
            for name, (kind, _, level) in members.items():
                curve = precision if kind == "ap" else recall
                values[name][b] = np.mean(curve if level is None else curve[chosen.index(level)])
    return values


def list_metrics(table: Table) -> list[str]:
    """The metrics that have a value in a table: the whole, and AP of every slice in which somebody is asked for."""
    match table:
        case VideoTable():
            metrics = list(table.metrics)
        case DistanceTable():
            metrics = ["pckh", "pckh_01", "auc", *(f"pckh_{part}" for part in MPII_GROUPS)]
        case MatchTable():
            metrics = ["ap", "ap50", "ap75", "ar", *(f"ap_{name}" for name in table.slices[1:])]
    values = resample(table, np.ones((1, len(table.image_ids)), dtype=np.uint16), metrics)
    return [name for name in metrics if not np.isnan(values[name][0])]


def _read_metric(name: str, table: MatchTable) -> tuple[str, int, int | None]:
    """(ap or ar, slice, threshold or None for their mean) of a metric's name."""
    kind, rest = name[:2], name[2:]
    if kind in ("ap", "ar"):
        if rest in ("", "50", "75"):
            level = None if not rest else int(np.argmin(np.abs(table.thresholds - int(rest) / 100)))
            return kind, 0, level
        if rest[1:] in table.slices:
            return kind, table.slices.index(rest[1:]), None
    slices = ", ".join(f"ap_{part}" for part in table.slices[1:])
    raise DataError(f"unknown metric '{name}': this table gives ap, ap50, ap75, ar, ar50, ar75, {slices}. Choose one of them.")


def _resample_slice(
    table: MatchTable, index: int, levels: list[int], weights: Int[np.ndarray, "B I"]
) -> list[tuple[Float[np.ndarray, "T 101"], Float[np.ndarray, " T"]]]:
    """Precision curves and recalls of one slice for each row of weights."""
    order = np.argsort(-table.scores, kind="stable")
    images = table.image_index[order]
    counted = ~table.ignored[index][order][:, levels].T
    hits = [np.flatnonzero(row) for row in table.matched[index][order][:, levels].T & counted]
    hit_images = [images[row] for row in hits]
    # The thresholds count nearly the same detections: one running sum serves all, and each corrects it by what it differs in.
    shared = _Running(images, np.flatnonzero(counted[0]), hits)
    changes = [_Running(images, np.flatnonzero(row != counted[0]), [hit]) for row, hit in zip(counted, hits, strict=True)]
    signs = [np.where(row[change.members], 1.0, -1.0) for row, change in zip(counted, changes, strict=True)]
    curves = []
    for row in weights:
        weight = row.astype(np.float64)
        asked = float(weight @ table.truth_counts[index])
        precision, recall = np.full((len(levels), len(RECALL_POINTS)), np.nan), np.full(len(levels), np.nan)
        if asked:
            sums = shared.sum_up(weight[shared.images])
            for t, (change, sign) in enumerate(zip(changes, signs, strict=True)):
                found = np.cumsum(weight[hit_images[t]])
                total = sums[shared.positions[t]] + change.sum_up(sign * weight[change.images])[change.positions[0]]
                precision[t] = curve_at_recall_points(found, total - found, asked)
                recall[t] = found[-1] / asked if len(found) else 0.0
        curves.append((precision, recall))
    return curves


class _Running:
    """A running sum over some rows, to be read off at others."""

    def __init__(self, images: Int[np.ndarray, " D"], members: Int[np.ndarray, " M"], readings: list[Int[np.ndarray, " H"]]) -> None:
        self.members = members
        self.images = images[members]
        self.positions = [np.searchsorted(members, rows, side="right") for rows in readings]

    def sum_up(self, values: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M1"]:
        """0, then the sum after each member."""
        sums = np.zeros(len(values) + 1)
        np.cumsum(values, out=sums[1:])
        return sums


def _resample_pckh(table: DistanceTable, weights: Int[np.ndarray, "B I"], name: str) -> Float[np.ndarray, " B"]:
    if name in PCKH_LIMITS:
        chosen = table.distances[:, MPII_MEAN_JOINTS]
        return _rate_weighted(table, (chosen <= PCKH_LIMITS[name]).sum(axis=1), (~np.isnan(chosen)).sum(axis=1), weights)
    if name == "auc":
        chosen = table.distances[:, MPII_MEAN_JOINTS, None]
        right = (chosen <= AUC_THRESHOLDS).mean(axis=2).sum(axis=1)
        return _rate_weighted(table, right, (~np.isnan(chosen[..., 0])).sum(axis=1), weights)
    members = MPII_GROUPS.get(name.removeprefix("pckh_"))
    if members is None:
        parts = ", ".join(f"pckh_{part}" for part in MPII_GROUPS)
        raise DataError(f"unknown metric '{name}': this table gives pckh, pckh_01, auc, {parts}. Choose one of them.")
    joints = [table.distances[:, member] for member in members]
    return np.mean([_rate_weighted(table, joint <= 0.5, ~np.isnan(joint), weights) for joint in joints], axis=0)


def _rate_weighted(
    table: DistanceTable, right: Float[np.ndarray, " N"], asked: Float[np.ndarray, " N"], weights: Int[np.ndarray, "B I"]
) -> Float[np.ndarray, " B"]:
    """Right over asked of all people under each row of picture weights; NaN where nothing is asked for."""
    num_images = len(table.image_ids)
    hits, total = (weights @ np.bincount(table.image_index, values, minlength=num_images) for values in (right, asked))
    rate: Float[np.ndarray, " B"] = np.divide(hits, total, out=np.full(len(weights), np.nan), where=total > 0)
    return rate


def _interval(values: Float[np.ndarray, " B"], confidence: float, name: str) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        raise DataError(f"metric '{name}' has no value in any resample: nobody is asked for. Leave it out.")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
