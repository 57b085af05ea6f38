"""Which of two runs is better, or that the pictures cannot tell, and how many would be needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from poseline.evaluation.bootstrap import FEWEST, PairedResult, Table, paired_bootstrap_metrics

Verdict = Literal["better", "worse", "cannot tell"]
_POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """The second run against the first in one metric.

    Attributes:
        result: the paired difference and its interval.
        verdict: of the second run.
        images_needed: pictures (or videos) with which a true difference of this size would be found significant four times in five;
            None where there is no difference at all.
    """

    result: PairedResult
    verdict: Verdict
    images_needed: int | None

    def describe(self) -> str:
        """One line, in points of a hundred."""
        r = self.result
        text = f"{r.metric}: {100 * r.first:.2f} -> {100 * r.second:.2f}, {100 * r.difference:+.2f} "
        text += f"[{100 * r.low:+.2f}, {100 * r.high:+.2f}]"
        text += f": {self.verdict}"
        if self.verdict == "cannot tell" and self.images_needed is not None:
            text += f" with {r.num_images} {r.unit}; some {self.images_needed} would be needed"
        return text


def compare(
    first: Table,
    second: Table,
    *,
    metrics: Sequence[str] = ("ap",),
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """The verdict on the second run in each metric (``ap_SLICE`` for the table's slices), by paired bootstrap over pictures or videos.

    Raises:
        DataError: the tables are of different pictures, or a metric has no value in one of them.
    """
    results = paired_bootstrap_metrics(first, second, metrics, resamples=resamples, seed=seed, confidence=confidence)
    return [Comparison(result, judge(result), count_images_needed(result)) for result in results]


def judge(result: PairedResult) -> Verdict:
    """``better`` or ``worse`` where the interval of the difference leaves out 0, else ``cannot tell``, as with too few pictures."""
    if result.num_images < FEWEST:
        return "cannot tell"
    if result.low > 0:
        return "better"
    return "worse" if result.high < 0 else "cannot tell"


def count_images_needed(result: PairedResult) -> int | None:
    """Pictures for a significant result with a power of 0.8, were the true difference the one seen.

    The standard error falls with the root of the number of pictures. None at no difference, and where too few were seen to go by.
    """
    if result.difference == 0 or result.num_images < FEWEST:
        return None
    quantiles = float(norm.ppf(1 - (1 - result.confidence) / 2) + norm.ppf(_POWER))
    return int(np.ceil(result.num_images * (quantiles * result.standard_error / result.difference) ** 2))
