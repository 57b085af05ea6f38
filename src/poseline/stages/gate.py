"""The regression gate: fresh COCO scores against the committed baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_json, read_table, write_json, write_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.errors import ArtifactError, PoselineError
from poseline.metrics.gate import GateDecision, ScoredRun, decide
from poseline.metrics.match_tables import matches_from_frame
from poseline.metrics.protocol import Protocol


@dataclass(frozen=True)
class RunFiles:
    """Where a run's scores lie."""

    metrics: Path
    matches: Path


def fresh_files(layout: Layout) -> RunFiles:
    """The score stage's files."""
    return RunFiles(layout.metrics / "coco.json", layout.per_person / "coco/matches.parquet")


def baseline_files(layout: Layout) -> RunFiles:
    """The committed files."""
    return RunFiles(layout.baseline / "coco.json", layout.baseline / "coco_matches.parquet")


def read_run(files: RunFiles, name: str) -> ScoredRun:
    """The scores of a run.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    raw = read_json(files.metrics, made_by="score coco")
    protocol = raw.get("protocol")
    if not isinstance(protocol, dict):
        raise ArtifactError(f"{files.metrics}: has no protocol. Run `poseline score coco` again.")
    table, _ = read_table(files.matches, kind="matches", made_by="score coco")
    values = {key: float(value) for key, value in raw.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return ScoredRun(values, Protocol.from_dict(protocol), matches_from_frame(table), name)


def run(params: Params, layout: Layout) -> GateDecision:
    """Whether the fresh scores may replace the baseline's. Whatever cannot be read refuses."""
    try:
        baseline = read_run(baseline_files(layout), "baseline")
    except PoselineError as error:
        return GateDecision(False, f"the baseline cannot be used: {error} Make one with `poseline gate --accept`.")
    try:
        candidate = read_run(fresh_files(layout), "candidate")
    except PoselineError as error:
        return GateDecision(False, f"the fresh score cannot be used: {error}")
    gate = params.gate
    return decide(
        baseline, candidate, max_drop=gate.max_drop, confidence=gate.confidence, resamples=gate.resamples, seed=params.seed
    )


def accept(layout: Layout) -> dict[str, float]:
    """Make the fresh scores the baseline; its headline numbers.

    Raises:
        ArtifactError: the fresh scores are missing or damaged.
    """
    fresh = fresh_files(layout)
    candidate = read_run(fresh, "candidate")
    table, header = read_table(fresh.matches, kind="matches", made_by="score coco")
    raw = read_json(fresh.metrics, made_by="score coco")
    target = baseline_files(layout)
    with atomic_folder(layout.baseline) as folder:
        write_json(folder / target.metrics.name, cast("dict[str, Yaml]", raw))
        write_table(folder / target.matches.name, table, TableHeader("matches", source_hash=header.source_hash))
    return {key: value for key, value in candidate.metrics.items() if value is not None}
