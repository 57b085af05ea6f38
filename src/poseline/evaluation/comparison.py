"""Two runs side by side: which is better, in which slice, or that the pictures (for tracks the videos) cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.errors import DataError
from poseline.evaluation.bootstrap import list_metrics
from poseline.evaluation.diagnosis import name_grown_errors
from poseline.evaluation.protocol import Protocol, differences
from poseline.evaluation.runs import POSETRACK_EXTRAS, ReadScore, locate_run, read_score
from poseline.evaluation.verdicts import Comparison, compare


@dataclass(frozen=True)
class ScoreComparison:
    """Two runs in one score.

    Attributes:
        score: its name.
        first: protocol of the first run.
        second: protocol of the second.
        unlike: what sets the protocols apart; empty where the numbers may be ranked.
        verdicts: a paired comparison for each metric and slice; empty without tables of pictures or videos.
        untested: headline numbers (first, second) of runs without such tables: no verdict on these.
        grown: errors of keypoints that grew from the first to the second beyond chance.
    """

    score: str
    first: Protocol
    second: Protocol
    unlike: tuple[str, ...]
    verdicts: tuple[Comparison, ...]
    untested: Mapping[str, tuple[float, float]]
    grown: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain values for a JSON file."""
        return {
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "unlike": list(self.unlike),
            "metrics": {c.result.metric: {**vars(c.result), "verdict": c.verdict, "images_needed": c.images_needed} for c in self.verdicts},
            "untested": {name: {"first": a, "second": b} for name, (a, b) in self.untested.items()},
            "grown_errors": list(self.grown),
        }


def run(
    first: str, second: str, params: Params, layout: Layout, *, force_different: bool = False, resamples: int = 1000
) -> list[ScoreComparison]:
    """The second run against the first in every score that both have.

    Args:
        first: a run, see :func:`poseline.evaluation.runs.locate_run`.
        second: another.
        params: for the seed, and the store's address.
        layout: the project.
        force_different: compare scores of different protocols too.
        resamples: of the pictures.

    Raises:
        DataError: no common score, or different protocols.
    """
    runs = locate_run(first, params, layout), locate_run(second, params, layout)
    if len(runs[0]) == len(runs[1]) == 1:  # two single files may bear any names
        pairs = {next(iter(runs[1])): (next(iter(runs[0].values())), next(iter(runs[1].values())))}
    else:
        pairs = {name: (files, runs[1][name]) for name, files in runs[0].items() if name in runs[1]}
    if not pairs:
        raise DataError(f"{first} has the scores {sorted(runs[0])}, {second} has {sorted(runs[1])}: none in common. Score both alike.")
    read = {name: tuple(read_score(files, run) for files, run in zip(pair, (first, second), strict=True)) for name, pair in pairs.items()}
    found = [
        compare_scores(name, a, b, force_different=force_different, resamples=resamples, seed=params.seed)
        for name, (a, b) in read.items()
        if a.raw.get("enabled", True) and b.raw.get("enabled", True)
    ]
    if not found:
        raise DataError(f"{first} and {second} have no score that is enabled in both. Enable a benchmark under data.")
    return found


def compare_scores(
    name: str, first: ReadScore, second: ReadScore, *, force_different: bool, resamples: int, seed: int
) -> ScoreComparison:
    """The second run against the first in one score.

    Raises:
        DataError: different protocols or pictures.
    """
    unlike = [*differences(first.run.protocol, second.run.protocol), *_extra_differences(first, second)]
    if unlike and not force_different:
        raise DataError(f"{name}: scored under different protocols ({'; '.join(unlike)}). Score both alike, or give --force-different.")
    tables = first.run.table, second.run.table
    verdicts: tuple[Comparison, ...] = ()
    if tables[0] is not None and tables[1] is not None:
        if type(tables[0]) is not type(tables[1]):
            raise DataError(f"{name}: the runs are of different benchmarks. Compare scores of one benchmark.")
        known = list_metrics(tables[1])
        metrics = [metric for metric in list_metrics(tables[0]) if metric in known]
        verdicts = tuple(compare(tables[0], tables[1], metrics=metrics, resamples=resamples, seed=seed))
    untested = {} if verdicts else _headlines(first, second)
    return ScoreComparison(
        name, first.run.protocol, second.run.protocol, tuple(unlike), verdicts, untested, tuple(name_grown_errors(first.raw, second.raw))
    )


def _extra_differences(first: ReadScore, second: ReadScore) -> list[str]:
    """What the PoseTrack stamps say beyond the common one; another tracker is what one compares."""
    stamps = [protocol if isinstance(protocol := read.raw.get("protocol"), dict) else {} for read in (first, second)]
    pairs = ((key, stamps[0].get(key), stamps[1].get(key)) for key in POSETRACK_EXTRAS if key != "tracker")
    return [f"{key}: {a} against {b}" for key, a, b in pairs if a != b]


def _headlines(first: ReadScore, second: ReadScore) -> dict[str, tuple[float, float]]:
    pairs = ((key, first.run.metrics.get(key), second.run.metrics.get(key)) for key in first.raw)
    return {key: (a, b) for key, a, b in pairs if a is not None and b is not None}

