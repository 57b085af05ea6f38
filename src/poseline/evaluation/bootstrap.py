"""Confidence by resampling images, videos or groups: intervals for a score, and for the difference of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import ndtri

from poseline.errors import DataError
from poseline.metrics.tables import ScoreTable

POWER = 0.8
"""Chance with which a difference of the size in question is to be found."""
FEWEST = 6
"""Images or videos below which no difference is called significant: even if all of five agree, chance does so in 1 of 16."""


@dataclass(frozen=True)
class PairedResult:
    """The second run less the first, over the same images (or videos).

    Attributes:
        metric: its name.
        first: value of the first run, a fraction.
        second: value of the second run.
        difference: second - first.
        low: lower end of the interval of the difference.
        high: upper end.
        confidence: of the interval.
        standard_error: of the difference.
        num_images: images.
        unit: what was resampled: images, or videos.
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
    unit: str = "images"


    @property
    def smallest_drop(self) -> float:
        """The smallest true drop that would be found significant four times in five: minimum detectable effect, a fraction.

        Of the one-sided test that the upper end of the two-sided interval makes: (z_{1 - alpha} + z_{0.8}) standard errors, with alpha half
        of what the confidence leaves.

        Reference:
            Bloom, Minimum detectable effects, Evaluation Review 19(5), 1995.
        """
        return float(ndtri(1 - (1 - self.confidence) / 2) + ndtri(POWER)) * self.standard_error


def bootstrap_metrics(
    table: ScoreTable, metrics: Sequence[str], *, resamples: int, seed: int, confidence: float = 0.95
) -> dict[str, tuple[float, float]]:
    """The percentile interval of each metric; all from the same resamples.

    A video is drawn whole, as its frames are not independent; with few of them the intervals are rough.

    Raises:
        DataError: a metric that the table cannot give, or that has no value in any resample.
    """
    weights = draw_weights(len(table.image_ids), resamples, seed)
    values = table.rate(weights, metrics)
    return {name: _interval(values[name], confidence, name) for name in metrics}


def compare_tables(
    first: ScoreTable, second: ScoreTable, metrics: Sequence[str], *, resamples: int, seed: int, confidence: float = 0.95
) -> list[PairedResult]:
    """The difference of two runs in each metric: both are scored on the same resampled images.

    Raises:
        DataError: the tables are of different images, or a metric has no value in one of them.

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
    points = [table.rate(whole, metrics) for table in (first, second)]
    drawn = [table.rate(weights, metrics) for table in (first, second)]
    results = []
    for name in metrics:
        a, b = float(points[0][name][0]), float(points[1][name][0])
        if np.isnan(a) or np.isnan(b):
            raise DataError(f"metric '{name}' has no value in one of the runs: no person is counted. Leave it out.")
        difference = drawn[1][name] - drawn[0][name]
        low, high = _interval(difference, confidence, name)
        error = float(np.nanstd(difference))
        results.append(PairedResult(name, a, b, b - a, low, high, confidence, error, num_images, first.unit))
    return results


def draw_weights(num_images: int, resamples: int, seed: int) -> Integer[np.ndarray, "B I"]:
    """How often each image is drawn in each resample, uint16; the same for the same numbers.

    >>> draw_weights(5, 3, 0).sum(axis=1).tolist()
    [5, 5, 5]
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, num_images), dtype=np.uint16)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, num_images, num_images), minlength=num_images)
    return weights


def list_metrics(table: ScoreTable) -> list[str]:
    """The metrics that have a value in a table."""
    values = table.rate(np.ones((1, len(table.image_ids)), dtype=np.uint16), table.metrics)
    return [name for name in table.metrics if not np.isnan(values[name][0])]


def _interval(values: Float[np.ndarray, " B"], confidence: float, name: str) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        raise DataError(f"metric '{name}' has no value in any resample: no person is counted. Leave it out.")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
