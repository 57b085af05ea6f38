"""Several runs side by side: scores of one protocol are ranked, scores of different protocols are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poseline.config.dataset import DETECTIONS
from poseline.datasets.protocols import Headline, load_protocol
from poseline.datasets.score import Score, Stamp, parse_score, read_score_file
from poseline.errors import ArtifactError
from poseline.experiments.lineage import git_output
from poseline.report.page import render
from poseline.report.scores import NO_VALUE, Cell, bar_cell, percent
from poseline.report.stamps import describe, describe_boxes, differing_conditions


@dataclass(frozen=True)
class Entry:
    """One run's row under one protocol.

    Attributes:
        rank: 1 for the best of this protocol; None where there is nothing to rank with.
        run: its name.
        cells: the metrics.
        interval: of the first metric, in words.
        behind: points of a hundred below the best of this protocol, in words.
    """

    rank: int | None
    run: str
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


def compare_runs(runs: Sequence[str], root: Path) -> str:
    """The page that sets runs side by side.

    Raises:
        ArtifactError: a run is neither a folder with scores nor a git revision with them, or is named twice.
    """
    if len(set(runs)) != len(runs):
        raise ArtifactError(f"report --compare: '{next(run for run in runs if runs.count(run) > 1)}' is named twice.")
    scores = {run: read_run(run, root) for run in runs}
    names = sorted({name for found in scores.values() for name in found})
    comparisons = [compare_score(name, {run: found[name] for run, found in scores.items() if name in found}, runs) for name in names]
    return render("compare.html.j2", title=f"{len(runs)} runs side by side", runs=runs, comparisons=comparisons)


def read_run(run: str, root: Path) -> dict[str, Score]:
    """The enabled scores of a run by name: of a folder that holds reports/metrics, or of a git revision of this project.

    Raises:
        ArtifactError: neither, or a score is damaged.
    """
    folder = Path(run)
    if folder.is_dir():
        where = f"{run}/reports/metrics"
        scores = {path.stem: read_score_file(path) for path in sorted((folder / "reports/metrics").glob("*.json"))}
    else:
        if git_output(root, "rev-parse", "--verify", "--quiet", f"{run}^{{commit}}") == "":
            raise ArtifactError(
                f"report --compare {run}: neither a folder nor a git revision. Name a folder with reports/metrics/*.json, a branch, "
                "a commit, or an experiment (see `dvc exp list`)."
            )
        where = f"{run}:reports/metrics"
        listed = git_output(root, "ls-tree", "--name-only", run, "./reports/metrics/")
        texts = {path: git_output(root, "show", f"{run}:./{path}") for path in listed.splitlines() if path.endswith(".json")}
        scores = {Path(path).stem: parse_score(text, source=f"{run}:{path}") for path, text in texts.items()}
    if not scores:
        raise ArtifactError(f"{where}: no scores there. Run `dvc repro` in that tree and keep (or commit) reports/metrics.")
    return {name: score for name, score in scores.items() if score.enabled}


def compare_score(name: str, scores: Mapping[str, Score], runs: Sequence[str]) -> Comparison:
    """The runs' rows of one score, grouped by protocol; ranked within a protocol only."""
    groups: dict[Stamp, list[str]] = {}
    for run, score in scores.items():
        groups.setdefault(score.protocol, []).append(run)
    first = next(iter(groups))
    columns = load_protocol(first.benchmark).headline
    made = tuple(
        Group(describe(stamp), rank_runs(columns, {run: scores[run] for run in members})) for stamp, members in groups.items()
    )
    return Comparison(
        title=name.removesuffix(DETECTIONS) + (f", {describe_boxes(first)}" if first.boxes else ""),
        header=("rank", "run", *(head.label for head in columns), "95 % interval", "behind the best"),
        groups=made,
        differences=tuple(differing_conditions(list(groups))) if len(made) > 1 else (),
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
                cells=tuple(bar_cell(scores[run].metrics.get(head.metric)) for head in columns),
                interval=NO_VALUE if interval is None else " to ".join(percent(end, unit=False) for end in interval),
                behind=f"{100 * (best - known[run]):.1f}" if ranked else NO_VALUE,
            )
        )
    return tuple(entries)
