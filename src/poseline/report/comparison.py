"""Several runs side by side: scores of one protocol are ranked, scores of different protocols are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poseline.config.dataset import DETECTIONS
from poseline.datasets.protocols import Headline, load_protocol
from poseline.datasets.score import Score, Stamp, read_score_file
from poseline.errors import DataError
from poseline.evaluation.runs import RunFiles
from poseline.report.page import render
from poseline.report.scores import NO_VALUE, Cell, bar_cell, percent
from poseline.report.stamps import describe, describe_boxes, describe_model, differing_conditions


@dataclass(frozen=True)
class Entry:
    """One run's row under one protocol.

    Attributes:
        rank: 1 for the best of this protocol; None where there is nothing to rank with.
        run: its name.
        model: input size, codec, tracker and weights, in words; and whether the score is stale.
        cells: the metrics.
        interval: of the first metric, in words.
        behind: points of a hundred below the best of this protocol, in words.
    """

    rank: int | None
    run: str
    model: str
    cells: tuple[Cell, ...]
    interval: str
    behind: str


@dataclass(frozen=True)
class Group:
    """Runs of one protocol, best first."""

    protocol: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Comparison:
    """One score over the runs.

    Attributes:
        title, header: of the tables.
        groups: one a protocol.
        differences: what sets the protocols apart; empty where there is one.
        absent: runs without this score.
    """

    title: str
    header: tuple[str, ...]
    groups: tuple[Group, ...]
    differences: tuple[str, ...]
    absent: tuple[str, ...]


def compare_runs(runs: Mapping[str, Mapping[str, RunFiles]], *, stale: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The page that sets runs side by side.

    Args:
        runs: where the scores of each lie, by the run's name.
        stale: why scores of a run are stale.

    Raises:
        ArtifactError: a score is damaged.
        DataError: no run has a score that is enabled.
    """
    scores = {run: read_run(files, (stale or {}).get(run, {})) for run, files in runs.items()}
    names = sorted({name for found in scores.values() for name in found})
    if not names:
        raise DataError(f"{', '.join(runs)}: no score is enabled in them. Enable a data set.")
    comparisons = [compare_score(name, {run: found[name] for run, found in scores.items() if name in found}, list(runs)) for name in names]
    return render("compare.html.j2", title=f"{len(runs)} runs side by side", runs=list(runs), comparisons=comparisons)


def read_run(files: Mapping[str, RunFiles], stale: Mapping[str, str] | None = None) -> dict[str, Score]:
    """The enabled scores of a run by name, those that are stale stamped with the reason.

    Raises:
        ArtifactError: a score is damaged.
    """
    scores = {name: read_score_file(where.metrics) for name, where in files.items()}
    for name, reason in (stale or {}).items():
        scores[name] = scores[name].stamped(stale=reason)
    return {name: score for name, score in scores.items() if score.enabled}


def compare_score(name: str, scores: Mapping[str, Score], runs: Sequence[str]) -> Comparison:
    """The runs' rows of one score, grouped by protocol; ranked within a protocol only, whatever their models are."""
    groups: dict[Stamp, list[str]] = {}
    for run, score in scores.items():
        groups.setdefault(score.protocol.protocol_only(), []).append(run)
    first = next(iter(groups))
    columns = load_protocol(first.benchmark).headline
    made = tuple(
        Group(describe(stamp), rank_runs(columns, {run: scores[run] for run in members})) for stamp, members in groups.items()
    )
    return Comparison(
        title=name.removesuffix(DETECTIONS) + (f", {describe_boxes(first)}" if first.boxes else ""),
        header=("rank", "run", "model", *(head.label for head in columns), "95 % interval", "behind the best"),
        groups=made,
        differences=tuple(differing_conditions([score.protocol for score in scores.values()])) if len(made) > 1 else (),
        absent=tuple(run for run in runs if run not in scores),
    )


def rank_runs(columns: Sequence[Headline], scores: Mapping[str, Score]) -> tuple[Entry, ...]:
    """Rows of one protocol, best first; equal values share a rank, a run without the metric comes last and has none."""
    key = columns[0].metric
    known = {run: value for run, score in scores.items() if (value := score.metrics.get(key)) is not None}
    best = max(known.values(), default=0.0)
    entries = []
    for run in sorted(scores, key=lambda run: -known.get(run, float("-inf"))):
        interval = scores[run].intervals.get(key)
        ranked = run in known and len(scores) > 1
        entries.append(
            Entry(
                rank=1 + sum(other > known[run] for other in known.values()) if ranked else None,
                run=run,
                model=", ".join(describe_model(scores[run].protocol)) or NO_VALUE,
                cells=tuple(bar_cell(scores[run].metrics.get(head.metric)) for head in columns),
                interval=NO_VALUE if interval is None else " to ".join(percent(end, unit=False) for end in interval),
                behind=f"{100 * (best - known[run]):.1f}" if ranked else NO_VALUE,
            )
        )
    return tuple(entries)
