"""The regression gate: fresh scores against the committed baseline, or another run's. Whatever cannot be read refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_table, write_json, write_table
from poseline.config import GateConfig, Params
from poseline.errors import ArtifactError, PoselineError
from poseline.evaluation.diagnosis import name_grown_errors
from poseline.evaluation.gate_rule import GateCheck, GateDecision, decide
from poseline.evaluation.runs import TABLE_SUFFIX, ReadScore, RunFiles, locate_run, read_score
from poseline.evaluation.scores import headline

BASELINE = "baseline"
KEPT_BY_DEFAULT = ("coco", "mpii")


@dataclass(frozen=True)
class GateRequest:
    """The metrics of one score that may not fall: metric -> tolerated drop."""

    score: str
    limits: dict[str, float]


def fresh_files(layout: Layout, score: str) -> RunFiles:
    """The score stage's files."""
    return RunFiles(layout.metrics / f"{score}.json", layout.per_person / score / "matches.parquet")


def baseline_files(layout: Layout, score: str) -> RunFiles:
    """The committed files."""
    return RunFiles(layout.baseline / f"{score}.json", layout.baseline / (score + TABLE_SUFFIX))


def plan_requests(limits: Mapping[str, float]) -> list[GateRequest]:
    """The limits by the score that holds the metric: pckh is MPII's, the others COCO's under true boxes, unless a name says else.

    >>> [(request.score, request.limits) for request in plan_requests({"ap": 0.01, "pckh": 0.02, "coco_detections.ap": 0.01})]
    [('coco', {'ap': 0.01}), ('mpii', {'pckh': 0.02}), ('coco_detections', {'ap': 0.01})]
    """
    requests: dict[str, dict[str, float]] = {}
    for name, limit in limits.items():
        score, _, metric = name.rpartition(".")
        requests.setdefault(score or ("mpii" if metric.startswith("pckh") else "coco"), {})[metric] = limit
    return [GateRequest(score, metrics) for score, metrics in requests.items()]


def run(params: Params, layout: Layout, *, against: str | None = None) -> GateDecision:
    """Whether the fresh scores may replace the baseline's.

    Args:
        params: the section ``gate``, and the seed.
        layout: where the fresh scores and the baseline lie.
        against: hold against this run in place of the committed baseline; see :func:`poseline.evaluation.runs.locate_run`.
    """
    requests = plan_requests(params.gate.limits)
    try:
        if against is None:
            held = {request.score: baseline_files(layout, request.score) for request in requests}
        else:
            held = locate_run(against, params, layout)
    except PoselineError as error:
        return GateDecision(False, f"{against} cannot be used: {error}")
    decisions = [_decide_score(request, params, layout, held.get(request.score), against) for request in requests]
    return _join(decisions)


def _decide_score(request: GateRequest, params: Params, layout: Layout, held: RunFiles | None, against: str | None) -> GateDecision:
    """The decision about one score; every reason not to compare refuses."""
    try:
        if held is None:
            raise ArtifactError(f"it has no score '{request.score}'.")
        baseline = _read_whole(held, against or BASELINE)
    except PoselineError as error:
        if against is None:
            return GateDecision(False, f"the baseline cannot be used: {error} Make one with `poseline gate --accept`.")
        return GateDecision(False, f"{against} cannot be used: {error}")
    try:
        candidate = _read_whole(fresh_files(layout, request.score), "candidate")
    except PoselineError as error:
        return GateDecision(False, f"the fresh score cannot be used: {error}")
    gate = params.gate
    decision = decide(
        baseline.run, candidate.run, max_drop=request.limits, confidence=gate.confidence, resamples=gate.resamples, seed=params.seed
    )
    if not decision.passed and decision.checks:
        grown = name_grown_errors(baseline.raw, candidate.raw)[:5]
        if grown:
            decision = replace(decision, reason=f"{decision.reason}; errors that grew: {', '.join(grown)}")
    prefix = "" if request.score in KEPT_BY_DEFAULT else f"{request.score}."
    return replace(decision, checks=tuple(replace(check, metric=prefix + check.metric) for check in decision.checks))


def _read_whole(files: RunFiles, name: str) -> ReadScore:
    """A score with its table.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    if files.metrics.is_file() and not files.matches.is_file():
        raise ArtifactError(f"{files.matches}: no such file. Run `poseline score` (or `dvc repro`) first.")
    return read_score(files, name)


def _join(decisions: Iterable[GateDecision]) -> GateDecision:
    """One decision of several: all must pass; a score that could not be compared at all becomes a failed check of its own."""
    every = list(decisions)
    if len(every) == 1:
        return every[0]
    checks: list[GateCheck] = []
    for decision in every:
        checks += decision.checks or (GateCheck("comparison", decision.passed, decision.reason, 0.0),)
    failed = [decision for decision in every if not decision.passed]
    reason = "; ".join(decision.reason for decision in failed or every)
    return GateDecision(not failed, reason, tuple(checks), next((decision.protocol for decision in every if decision.protocol), None))


def accept(layout: Layout, config: GateConfig | None = None) -> dict[str, float]:
    """Make the fresh scores the baseline, whole or not at all; their headline numbers as ``score.metric``.

    Kept are the scores that the gate checks, and COCO's and MPII's where they were made.

    Raises:
        ArtifactError: a score that the gate checks is missing, damaged, or does not agree with its table.
    """
    config = config or GateConfig()
    requests = {request.score: request.limits for request in plan_requests(config.limits)}
    optional = [score for score in KEPT_BY_DEFAULT if score not in requests and _is_scored(layout, score)]
    kept = {score: _read_whole(fresh_files(layout, score), "candidate") for score in (*requests, *optional)}
    for score, limits in requests.items():
        decision = decide(kept[score].run, kept[score].run, max_drop=limits, resamples=20)
        if not decision.passed:
            raise ArtifactError(f"{fresh_files(layout, score).metrics}: cannot become the baseline: {decision.reason}")
    with atomic_folder(layout.baseline) as folder:
        for score, read in kept.items():
            table, header = read_table(fresh_files(layout, score).matches, kind="matches", made_by=f"score {score}")
            write_json(folder / f"{score}.json", read.raw)
            write_table(folder / (score + TABLE_SUFFIX), table, TableHeader("matches", source_hash=header.source_hash))
    return {f"{score}.{key}": value for score, read in kept.items() for key, value in headline(read.raw).items()}


def _is_scored(layout: Layout, score: str) -> bool:
    """Whether the pipeline made this score with its table."""
    files = fresh_files(layout, score)
    return files.metrics.is_file() and files.matches.is_file()

