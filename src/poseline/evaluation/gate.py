"""The regression gate: fresh scores against the committed baseline, or another run's. Whatever cannot be read refuses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_table, write_json, write_table
from poseline.config import Params
from poseline.datasets.score import Metrics, Stamp, differences
from poseline.datasets.scored_sets import SetScore, list_scores
from poseline.errors import ArtifactError, ConfigError, DataError, PoselineError
from poseline.evaluation.bootstrap import FEWEST, PairedResult, compare_tables
from poseline.evaluation.diagnosis import name_grown_errors
from poseline.evaluation.runs import TABLE_SUFFIX, RunFiles, ScoredRun, read_score

BASELINE = "baseline"
OPTIONAL = ("coco", "mpii")
"""Protocols whose scores under ground-truth boxes are kept in a baseline though the gate does not check them."""


@dataclass(frozen=True)
class GateRequest:
    """The metrics of one score that may not fall: metric -> tolerated drop; ``plain`` where they were named without their score."""

    score: str
    limits: dict[str, float]
    signed: frozenset[str] = frozenset()
    plain: bool = False


@dataclass(frozen=True)
class GateCheck:
    """One metric's part of the decision.

    Attributes:
        metric: its name, e.g. ap, ap_large.
        passed: whether it stands in the way.
        reason: one line.
        max_drop: the drop that is tolerated, a fraction.
        result: the paired comparison; None where none could be made.
    """

    metric: str
    passed: bool
    reason: str
    max_drop: float
    result: PairedResult | None = None


@dataclass(frozen=True)
class GateDecision:
    """Whether the candidate passes, why, and the checks behind it.

    Attributes:
        passed: every check passed.
        reason: one line: the first failure, or the summary.
        checks: one a metric; empty where the runs could not be compared at all.
        protocol: the candidate's stamp, None where it is missing.
    """

    passed: bool
    reason: str
    checks: tuple[GateCheck, ...] = field(default=())
    protocol: Stamp | None = None


def decide(
    baseline: ScoredRun | None,
    candidate: ScoredRun | None,
    *,
    max_drop: float | Mapping[str, float],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    signed: frozenset[str] = frozenset(),
) -> GateDecision:
    """Passes unless a metric fell by more than its ``max_drop`` and the fall is significant over the images (or videos).

    Args:
        baseline: the run to hold against; None fails.
        candidate: the new run; None fails.
        max_drop: tolerated drop as a fraction: of ``ap``, or by metric (``ap_SLICE`` for a slice of the table).
        confidence: of the two-sided interval of the difference; its upper end below 0 is a significant fall.
        resamples: of the images.
        seed: of the resampling.
        signed: metrics that may lie below 0.
    """
    limits = dict(max_drop) if isinstance(max_drop, Mapping) else {"ap": float(max_drop)}
    problem = _problem(baseline, candidate, limits, signed)
    if problem is not None or baseline is None or candidate is None:
        return GateDecision(False, problem or "no runs", protocol=candidate.score.protocol if candidate else None)
    assert baseline.table is not None
    assert candidate.table is not None
    try:
        results = compare_tables(baseline.table, candidate.table, list(limits), resamples=resamples, seed=seed, confidence=confidence)
    except DataError as error:
        return GateDecision(False, str(error), protocol=candidate.score.protocol)
    stated = baseline.score.all_metrics(), candidate.score.all_metrics()
    checks = tuple(_check(result, limits[result.metric], stated[0], stated[1]) for result in results)
    failed = [check for check in checks if not check.passed]
    reason = failed[0].reason if failed else "; ".join(check.reason for check in checks)
    return GateDecision(not failed, reason, checks, candidate.score.protocol)


def _problem(baseline: ScoredRun | None, candidate: ScoredRun | None, limits: Mapping[str, float], signed: frozenset[str]) -> str | None:
    """Why the runs cannot be compared; None where they can."""
    if baseline is None:
        return "there is no baseline. Make one with 'poseline gate --accept'."
    if candidate is None:
        return "there is no fresh score. Run the score stage first."
    if not limits:
        return "no metric is checked. Set gate.max_drop."
    stamps = baseline.score.protocol, candidate.score.protocol
    modes = [stamp.mode or getattr(run.table, "mode", None) for stamp, run in zip(stamps, (baseline, candidate), strict=True)]
    if modes[0] != modes[1]:
        return f"the baseline was made in mode {modes[0]}, the candidate in {modes[1]}. Renew it with 'poseline gate --accept'."
    unlike = differences(*stamps)
    if unlike:
        return f"the baseline was made under another protocol ({'; '.join(unlike)}). Renew it with 'poseline gate --accept'."
    for side, run in (("baseline", baseline), ("candidate", candidate)):
        metrics = run.score.all_metrics()
        for name in limits:
            value = metrics.get(name)
            lowest = -math.inf if name in signed else 0.0
            if value is None or not lowest <= value <= 1:
                found = "missing" if value is None else f"{value}, not a fraction"
                return f"metric '{name}' of the {side} is {found}. Score again."
        if run.table is None:
            return f"the table of the {side} is missing. Score again."
        if len(run.table.image_ids) < FEWEST:
            few = f"{len(run.table.image_ids)} {run.table.unit}"
            return f"{few} are too few to tell a change, at least {FEWEST} are needed. Score a larger set, or leave the metric out."
    return None


def _check(result: PairedResult, limit: float, baseline: Metrics, candidate: Metrics) -> GateCheck:
    for name, value, stated in (
        ("baseline", result.first, baseline[result.metric]),
        ("candidate", result.second, candidate[result.metric]),
    ):
        if stated is None or abs(value - stated) > 1e-6:
            reason = f"{result.metric} of the {name} is stated as {stated} but its table gives {value:.6f}. Score again."
            return GateCheck(result.metric, False, reason, limit, result)
    interval = f"[{100 * result.low:+.2f}, {100 * result.high:+.2f}]"
    change = f"{result.metric} {100 * result.first:.2f} -> {100 * result.second:.2f} ({100 * result.difference:+.2f}, {interval})"
    if result.high < 0 and result.difference < -limit:
        return GateCheck(result.metric, False, f"{change}: a significant drop of more than {100 * limit:.2f}", limit, result)
    verdict = "no significant drop" if result.high >= 0 else f"a drop within the tolerated {100 * limit:.2f}"
    return GateCheck(result.metric, True, f"{change}: {verdict}", limit, result)


def fresh_files(layout: Layout, score: str) -> RunFiles:
    """The score stage's files."""
    return RunFiles(layout.metrics / f"{score}.json", layout.per_person / score / "matches.parquet")


def baseline_files(layout: Layout, score: str) -> RunFiles:
    """The committed files."""
    return RunFiles(layout.baseline / f"{score}.json", layout.baseline / (score + TABLE_SUFFIX))


def plan_requests(limits: Mapping[str, float], scores: Mapping[str, SetScore]) -> list[GateRequest]:
    """The limits by the score that holds the metric: of a metric without its score's name, the first that has it.

    Raises:
        ConfigError: no such score, or a metric that its protocol does not let the gate check.
    """
    requests: dict[str, GateRequest] = {}
    for full, limit in limits.items():
        named, _, metric = full.rpartition(".")
        candidates = [named] if named else list(scores)
        owner = next((name for name in candidates if name in scores and scores[name].protocol.can_gate(metric)), None)
        if owner is None:
            ranks = [f"{name}.{scores[name].protocol.headline[0].metric}" for name in scores]
            raise ConfigError(f"gate.max_drop: unknown metric '{full}'. Choose a metric of a score, e.g. {', '.join(ranks)}.")
        request = requests.setdefault(owner, GateRequest(owner, {}, scores[owner].protocol.signed, plain=not named))
        request.limits[metric] = limit
    return list(requests.values())


def check(params: Params, layout: Layout, *, held: Mapping[str, RunFiles] | None = None, name: str = BASELINE) -> GateDecision:
    """Whether the fresh scores may replace the baseline's.

    Args:
        params: the sections ``gate`` and ``data``, and the seed.
        layout: where the fresh scores and the baseline lie.
        held: the scores of a run to hold against in place of the committed baseline.
        name: of that run.

    Raises:
        ConfigError: ``gate.max_drop`` names a metric that there is not.
    """
    requests = plan_requests(params.gate.limits, list_scores(params.data))
    return _join([_decide_score(request, params, layout, held, name) for request in requests])


def _decide_score(request: GateRequest, params: Params, layout: Layout, held: Mapping[str, RunFiles] | None, name: str) -> GateDecision:
    """The decision about one score; every reason not to compare refuses."""
    try:
        files = baseline_files(layout, request.score) if held is None else held.get(request.score)
        if files is None:
            raise ArtifactError(f"it has no score '{request.score}'.")
        baseline = _read_whole(files, name)
    except PoselineError as error:
        if held is None:
            return GateDecision(False, f"the baseline cannot be used: {error} Make one with `poseline gate --accept`.")
        return GateDecision(False, f"{name} cannot be used: {error}")
    try:
        candidate = _read_whole(fresh_files(layout, request.score), "candidate")
    except PoselineError as error:
        return GateDecision(False, f"the fresh score cannot be used: {error}")
    gate = params.gate
    decision = decide(
        baseline,
        candidate,
        max_drop=request.limits,
        confidence=gate.confidence,
        resamples=gate.resamples,
        seed=params.seed,
        signed=request.signed,
    )
    if not decision.passed and decision.checks:
        grown = name_grown_errors(baseline.score, candidate.score)[:5]
        if grown:
            decision = replace(decision, reason=f"{decision.reason}; errors that grew: {', '.join(grown)}")
    prefix = "" if request.plain else f"{request.score}."
    return replace(decision, checks=tuple(replace(check, metric=prefix + check.metric) for check in decision.checks))


def _read_whole(files: RunFiles, name: str) -> ScoredRun:
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


def accept(params: Params, layout: Layout) -> dict[str, float]:
    """Make the fresh scores the baseline, whole or not at all; their metrics as ``score.metric``.

    Kept are the scores that the gate checks, and COCO's and MPII's where they were made.

    Raises:
        ArtifactError: a score that the gate checks is missing, damaged, or does not agree with its table.
        ConfigError: ``gate.max_drop`` names a metric that there is not.
    """
    scores = list_scores(params.data)
    requests = {request.score: request for request in plan_requests(params.gate.limits, scores)}
    known = [name for name, entry in scores.items() if entry.protocol.name in OPTIONAL and not entry.detected]
    optional = [name for name in known if name not in requests and _is_scored(layout, name)]
    kept = {name: _read_whole(fresh_files(layout, name), "candidate") for name in (*requests, *optional)}
    for name, request in requests.items():
        decision = decide(kept[name], kept[name], max_drop=request.limits, resamples=20, signed=request.signed)
        if not decision.passed:
            raise ArtifactError(f"{fresh_files(layout, name).metrics}: cannot become the baseline: {decision.reason}")
    with atomic_folder(layout.baseline) as folder:
        for name, run in kept.items():
            table, header = read_table(fresh_files(layout, name).matches, kind="matches", made_by=f"score {name}")
            write_json(folder / f"{name}.json", run.score.to_json())
            write_table(folder / (name + TABLE_SUFFIX), table, TableHeader("matches", source_hash=header.source_hash))
    return {f"{name}.{key}": value for name, run in kept.items() for key, value in run.score.numbers.items()}


def _is_scored(layout: Layout, score: str) -> bool:
    """Whether the pipeline made this score with its table."""
    files = fresh_files(layout, score)
    return files.metrics.is_file() and files.matches.is_file()
