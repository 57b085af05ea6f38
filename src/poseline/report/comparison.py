"""Several runs side by side: scores of one protocol are ranked, scores of different protocols are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from poseline.artifacts import read_json
from poseline.config.params import Yaml
from poseline.errors import ArtifactError
from poseline.report.inputs import SCORES, Json
from poseline.report.lineage import git_output
from poseline.report.page import render
from poseline.report.scores import NO_VALUE, Cell, bar_cell, percent
from poseline.report.stamps import describe, differing_conditions

TITLES = {"coco": "COCO, ground-truth boxes", "coco_detections": "COCO, detector boxes", "mpii": "MPII", "posetrack": "PoseTrack"}
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "coco": (("ap", "AP"), ("ap50", "AP .50"), ("ap75", "AP .75"), ("ar", "AR")),
    "coco_detections": (("ap", "AP"), ("ap50", "AP .50"), ("ap75", "AP .75"), ("ar", "AR")),
    "mpii": (("pckh", "PCKh@0.5"), ("pckh_01", "PCKh@0.1"), ("auc", "AUC")),
    "posetrack": (("mota", "MOTA"), ("map", "mAP"), ("precision", "precision"), ("recall", "recall")),
}


@dataclass(frozen=True)
class Entry:
    """One run's row under one protocol.

    Attributes:
        rank: 1 for the best of this protocol; None where there is nothing to rank with.
        run: its name.
        cells: the figures.
        interval: of the first figure, in words.
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
    metrics = {run: read_run(run, root) for run in runs}
    comparisons = [compare_score(name, {run: scores[name] for run, scores in metrics.items() if name in scores}, runs) for name in SCORES]
    found = [comparison for comparison in comparisons if comparison.groups]
    return render("compare.html.j2", title=f"{len(runs)} runs side by side", runs=runs, comparisons=found)


def read_run(run: str, root: Path) -> dict[str, Json]:
    """Score name -> metrics of a run: a folder that holds reports/metrics, or a git revision of this project.

    Raises:
        ArtifactError: neither, or a score is damaged.
    """
    folder = Path(run)
    if folder.is_dir():
        paths = {name: folder / f"reports/metrics/{name}.json" for name in SCORES}
        scores: dict[str, Json] = {name: read_json(path, made_by=f"score {name}") for name, path in paths.items() if path.is_file()}
        where = f"{run}/reports/metrics"
    else:
        if git_output(root, "rev-parse", "--verify", "--quiet", f"{run}^{{commit}}") is None:
            raise ArtifactError(
                f"report --compare {run}: neither a folder nor a git revision. Name a folder with reports/metrics/*.json, a branch, "
                "a commit, or an experiment (see `dvc exp list`)."
            )
        texts = {name: git_output(root, "show", f"{run}:./reports/metrics/{name}.json") for name in SCORES}
        scores = {name: parse_score(text, source=f"{run}:reports/metrics/{name}.json") for name, text in texts.items() if text is not None}
        where = f"{run}:reports/metrics"
    if not scores:
        raise ArtifactError(f"{where}: no scores there. Run `dvc repro` in that tree and keep (or commit) reports/metrics.")
    return {name: values for name, values in scores.items() if values.get("enabled", True)}


def parse_score(text: str, *, source: str) -> Json:
    """A metrics file's content.

    Raises:
        ArtifactError: not a JSON object with a protocol.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{source}: not readable as JSON ({error}). Score that revision again.") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{source}: expected a JSON object, got {type(value).__name__}. Score that revision again.")
    return cast("Json", value)


def compare_score(name: str, scores: dict[str, Json], runs: Sequence[str]) -> Comparison:
    """The runs' rows of one score, grouped by protocol; ranked within a protocol only."""
    stamps = {run: cast("dict[str, Yaml]", values.get("protocol") or {}) for run, values in scores.items()}
    groups: dict[str, list[str]] = {}
    for run, stamp in stamps.items():
        groups.setdefault(json.dumps(stamp, sort_keys=True), []).append(run)
    made = tuple(Group(describe(stamps[members[0]]), rank_runs(name, {run: scores[run] for run in members})) for members in groups.values())
    return Comparison(
        title=TITLES[name],
        header=("rank", "run", *(label for _, label in COLUMNS[name]), "95 % interval", "behind the best"),
        groups=made,
        differences=tuple(differing_conditions(list(stamps.values()))) if len(made) > 1 else (),
        absent=tuple(run for run in runs if run not in scores),
    )


def rank_runs(name: str, scores: dict[str, Json]) -> tuple[Entry, ...]:
    """Rows of one protocol, best first; equal figures share a rank, a run without the figure comes last and has none."""
    key = COLUMNS[name][0][0]
    known = {run: float(value) for run, values in scores.items() if isinstance(value := values.get(key), int | float)}
    best = max(known.values(), default=0.0)
    entries = []
    for run in sorted(scores, key=lambda run: -known.get(run, float("-inf"))):
        interval = scores[run].get(f"{key}_interval")
        ranked = run in known and len(scores) > 1
        entries.append(
            Entry(
                rank=1 + sum(other > known[run] for other in known.values()) if ranked else None,
                run=run,
                cells=tuple(bar_cell(scores[run].get(column)) for column, _ in COLUMNS[name]),
                interval=" to ".join(percent(end, unit=False) for end in interval) if isinstance(interval, list) else NO_VALUE,
                behind=f"{100 * (best - known[run]):.1f}" if ranked else NO_VALUE,
            )
        )
    return tuple(entries)
