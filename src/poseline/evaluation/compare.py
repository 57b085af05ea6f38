"""Two runs side by side: which is better, in which slice, or that the images (for tracks the videos) cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poseline.datasets.score import Stamp, differences, model_changes, unstated
from poseline.errors import DataError
from poseline.evaluation.bootstrap import FEWEST, PairedResult, compare_tables, list_metrics
from poseline.evaluation.diagnosis import name_grown_errors
from poseline.evaluation.runs import RunFiles, ScoredRun, read_score
from poseline.metrics.tables import ScoreTable

Verdict = Literal["better", "worse", "identical", "cannot tell"]


@dataclass(frozen=True)
class MetricComparison:
    """The second run against the first in one metric.

    Attributes:
        result: the paired difference and its interval.
        verdict: of the second run.
        images_needed: images (or videos) with which a true difference of this size would be found significant four times in five;
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


@dataclass(frozen=True)
class ScoreComparison:
    """Two runs in one score.

    Attributes:
        score: its name.
        first: the stamp of the first run.
        second: that of the second.
        unlike: what sets the protocols apart; empty where the metrics may be ranked.
        model: what differs between the models.
        unstated: conditions that only one of them states.
        verdicts: a paired comparison for each metric and slice; empty without tables of images or videos.
        untested: headline numbers (first, second) of runs without such tables: no verdict on these.
        grown: errors of keypoints that grew from the first to the second beyond chance.
    """

    score: str
    first: Stamp
    second: Stamp
    unlike: tuple[str, ...]
    model: tuple[str, ...]
    unstated: tuple[str, ...]
    verdicts: tuple[MetricComparison, ...]
    untested: Mapping[str, tuple[float, float]]
    grown: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain values for a JSON file."""
        return {
            "first": self.first.model_dump(mode="json"),
            "second": self.second.model_dump(mode="json"),
            "unlike": list(self.unlike),
            "model": list(self.model),
            "unstated": list(self.unstated),
            "metrics": {c.result.metric: {**vars(c.result), "verdict": c.verdict, "images_needed": c.images_needed} for c in self.verdicts},
            "untested": {name: {"first": a, "second": b} for name, (a, b) in self.untested.items()},
            "grown_errors": list(self.grown),
        }


def compare_runs(
    first: Mapping[str, RunFiles],
    second: Mapping[str, RunFiles],
    *,
    names: tuple[str, str] = ("first", "second"),
    force_different: bool = False,
    resamples: int = 1000,
    seed: int = 1,
) -> list[ScoreComparison]:
    """The second run against the first in every score that both have.

    Args:
        first: where a run's scores lie, by name.
        second: another's.
        names: of the runs, for messages.
        force_different: compare scores of different protocols too.
        resamples: of the images.
        seed: of the resamples.

    Raises:
        ArtifactError: a score is damaged.
        DataError: no common score, or different protocols.
    """
    if len(first) == len(second) == 1:  # two single files may bear any names
        pairs = {next(iter(second)): (next(iter(first.values())), next(iter(second.values())))}
    else:
        pairs = {name: (files, second[name]) for name, files in first.items() if name in second}
    if not pairs:
        raise DataError(f"{names[0]} has the scores {sorted(first)}, {names[1]} has {sorted(second)}: none in common. Score both alike.")
    read = {name: (read_score(files[0], names[0]), read_score(files[1], names[1])) for name, files in pairs.items()}
    found = [
        compare_scores(name, a, b, force_different=force_different, resamples=resamples, seed=seed)
        for name, (a, b) in read.items()
        if a.score.enabled and b.score.enabled
    ]
    if not found:
        raise DataError(f"{names[0]} and {names[1]} have no score that is enabled in both. Enable a data set.")
    return found


def compare_scores(name: str, first: ScoredRun, second: ScoredRun, *, force_different: bool, resamples: int, seed: int) -> ScoreComparison:
    """The second run against the first in one score.

    Raises:
        DataError: different protocols or images.
    """
    stamps = first.score.protocol, second.score.protocol
    unlike = differences(*stamps)
    if unlike and not force_different:
        raise DataError(f"{name}: scored under different protocols ({'; '.join(unlike)}). Score both alike, or give --force-different.")
    verdicts: tuple[MetricComparison, ...] = ()
    if first.table is not None and second.table is not None:
        if type(first.table) is not type(second.table):
            raise DataError(f"{name}: the runs are of different benchmarks. Compare scores of one benchmark.")
        known = list_metrics(second.table)
        metrics = [metric for metric in list_metrics(first.table) if metric in known]
        verdicts = tuple(judge_metrics(first.table, second.table, metrics=metrics, resamples=resamples, seed=seed))
    both = {key: (a, b) for key, a in first.score.numbers.items() if (b := second.score.numbers.get(key)) is not None}
    return ScoreComparison(
        score=name,
        first=stamps[0],
        second=stamps[1],
        unlike=tuple(unlike),
        model=tuple(model_changes(*stamps)),
        unstated=tuple(unstated(*stamps)),
        verdicts=verdicts,
        untested={} if verdicts else both,
        grown=tuple(name_grown_errors(first.score, second.score)),
    )


def judge_metrics(
    first: ScoreTable,
    second: ScoreTable,
    *,
    metrics: Sequence[str] = ("ap",),
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[MetricComparison]:
    """The verdict on the second run in each metric (``ap_SLICE`` for the table's slices), by paired bootstrap over images or videos.

    Raises:
        DataError: the tables are of different images, or a metric has no value in one of them.
    """
    results = compare_tables(first, second, metrics, resamples=resamples, seed=seed, confidence=confidence)
    return [MetricComparison(result, judge(result), count_images_needed(result)) for result in results]


def judge(result: PairedResult) -> Verdict:
    """``better`` or ``worse`` where the interval of the difference leaves out 0, else ``cannot tell``, as with too few images.

    ``identical`` where no image (or video) tells the two apart: the difference is 0 in every resample.
    """
    if result.difference == 0 and result.standard_error == 0 and result.low == result.high == 0:
        return "identical"
    if result.num_images < FEWEST:
        return "cannot tell"
    if result.low > 0:
        return "better"
    return "worse" if result.high < 0 else "cannot tell"


def count_images_needed(result: PairedResult) -> int | None:
    """Images for a significant result with a power of 0.8, were the true difference the one seen.

    The standard error falls with the root of the number of images. None at no difference, and where too few were seen to go by.
    """
    if result.difference == 0 or result.num_images < FEWEST:
        return None
    return int(np.ceil(result.num_images * (result.smallest_drop / result.difference) ** 2))
