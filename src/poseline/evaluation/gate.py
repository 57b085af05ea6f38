"""The regression gate: fresh scores against the committed baseline, or another run's. Whatever cannot be read refuses."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_table, write_json, write_table
from poseline.artifacts.freshness import OnStale, refuse_stale
from poseline.config import Params
from poseline.datasets.score import Metrics, Stamp, differences, model_changes, remedy
from poseline.datasets.scored_sets import SetScore, list_scores
from poseline.errors import ArtifactError, ConfigError, DataError, PoselineError
from poseline.evaluation.bootstrap import FEWEST, POWER, PairedResult, compare_tables
from poseline.evaluation.diagnosis import name_grown_errors
from poseline.evaluation.runs import TABLE_SUFFIX, RunFiles, ScoredRun, read_score

BASELINE = "baseline"
ACCEPT = "`poseline gate --accept`"


@dataclass(frozen=True)
class GateRequest:
    """The metrics of one score that may not fall: metric -> tolerated drop; ``plain`` where they were named without their score."""

    score: str
    dataset: str
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
        model: what differs between the models, a phrase a condition.
    """

    passed: bool
    reason: str
    checks: tuple[GateCheck, ...] = field(default=())
    protocol: Stamp | None = None
    model: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """What to do about a run that cannot be used: commands that work as they stand.

    Attributes:
        against: the run to hold against, where it is not the committed baseline.
        remake: makes the candidate's score.
    """

    against: str | None = None
    remake: str = "dvc repro"

    @property
    def renew(self) -> str:
        """About the baseline, or the run that stands in its place."""
        if self.against is None:
            return f"Renew it with {ACCEPT}."
        return f"Name another run, or look at both: `poseline compare {shlex.quote(self.against)} . --force-different`."


def decide(
    baseline: ScoredRun | None,
    candidate: ScoredRun | None,
    *,
    max_drop: float | Mapping[str, float],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    signed: frozenset[str] = frozenset(),
    check_power: bool = False,
    advice: Advice = Advice(),
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
        check_power: refuse too where a drop of ``max_drop`` would not have been seen, unless the metric rose significantly.
        advice: what a refusal tells to do.
    """
    limits = dict(max_drop) if isinstance(max_drop, Mapping) else {"ap": float(max_drop)}
    problem = _problem(baseline, candidate, limits, signed, advice)
    if problem is not None or baseline is None or candidate is None:
        return GateDecision(False, problem or "no runs", protocol=candidate.score.protocol if candidate else None)
    assert baseline.table is not None
    assert candidate.table is not None
    try:
        results = compare_tables(baseline.table, candidate.table, list(limits), resamples=resamples, seed=seed, confidence=confidence)
    except DataError as error:
        return GateDecision(False, f"{error} {advice.renew}", protocol=candidate.score.protocol)
    stated = baseline.score.all_metrics(), candidate.score.all_metrics()
    checks = tuple(_check(result, limits[result.metric], *stated, check_power=check_power, advice=advice) for result in results)
    failed = [check for check in checks if not check.passed]
    reason = failed[0].reason if failed else "; ".join(check.reason for check in checks)
    changes = model_changes(baseline.score.protocol, candidate.score.protocol)
    return GateDecision(not failed, reason, checks, candidate.score.protocol, tuple(changes))


def _problem(
    baseline: ScoredRun | None, candidate: ScoredRun | None, limits: Mapping[str, float], signed: frozenset[str], advice: Advice
) -> str | None:
    """Why the runs cannot be compared; None where they can. The candidate comes first: it must be whole to become the baseline."""
    if not limits:
        return "no metric is checked. Set gate.max_drop."
    if candidate is None:
        return f"there is no fresh score. Run `{advice.remake}` first."
    fault = _fault(candidate, "candidate", limits, signed, f"Run `{advice.remake}`.")
    if fault is not None:
        return fault
    if baseline is None:
        return f"there is no baseline. Make one with {ACCEPT}."
    stamps = baseline.score.protocol, candidate.score.protocol
    modes = [stamp.mode or getattr(run.table, "mode", None) for stamp, run in zip(stamps, (baseline, candidate), strict=True)]
    if modes[0] != modes[1]:
        return f"the baseline was made in mode {modes[0]}, the candidate in {modes[1]}. {advice.renew}"
    unlike = differences(*stamps)
    if unlike:
        return f"the baseline was made under another protocol ({'; '.join(unlike)}). {advice.renew}"
    return _fault(baseline, "baseline", limits, signed, advice.renew)


def _fault(run: ScoredRun, side: str, limits: Mapping[str, float], signed: frozenset[str], remedy: str) -> str | None:
    """What a run lacks; None where nothing."""
    metrics = run.score.all_metrics()
    for name in limits:
        value = metrics.get(name)
        lowest = -math.inf if name in signed else 0.0
        if value is None and name in metrics and side == "candidate":
            return f"metric '{name}' of the {side} is missing: nobody is counted in it. Leave it out of gate.max_drop."
        if value is None or not lowest <= value <= 1:
            found = "missing" if value is None else f"{value}, not a fraction"
            return f"metric '{name}' of the {side} is {found}. {remedy}"
    if run.table is None:
        return f"the table of the {side} is missing. {remedy}"
    if len(run.table.image_ids) < FEWEST:
        few = f"{len(run.table.image_ids)} {run.table.unit}"
        return f"{few} are too few to tell a change, at least {FEWEST} are needed. Score a larger set, or leave the metric out."
    return None


def _check(result: PairedResult, limit: float, baseline: Metrics, candidate: Metrics, *, check_power: bool, advice: Advice) -> GateCheck:
    for name, value, stated, what_next in (
        ("baseline", result.first, baseline[result.metric], advice.renew),
        ("candidate", result.second, candidate[result.metric], f"Run `{advice.remake}`."),
    ):
        if stated is None or abs(value - stated) > 1e-6:
            reason = f"{result.metric} of the {name} is stated as {stated} but its table gives {value:.6f}. {what_next}"
            return GateCheck(result.metric, False, reason, limit, result)
    interval = f"[{100 * result.low:+.2f}, {100 * result.high:+.2f}]"
    change = f"{result.metric} {100 * result.first:.2f} -> {100 * result.second:.2f} ({100 * result.difference:+.2f}, {interval})"
    if result.high < 0 and result.difference < -limit:
        return GateCheck(result.metric, False, f"{change}: a significant drop of more than {100 * limit:.2f}", limit, result)
    verdict = "no significant drop" if result.high >= 0 else f"a drop within the tolerated {100 * limit:.2f}"
    seen = describe_power(result)
    if check_power and result.smallest_drop > limit and result.low <= 0:
        least = math.ceil(1e4 * result.smallest_drop) / 1e4
        reason = f"{change}: {verdict}, but {seen}, more than the tolerated {100 * limit:.2f}. Score a larger set, raise the limit of "
        reason += f"'{result.metric}' in gate.max_drop to {least:.4f}, or let it pass unseen: `poseline gate --set gate.check_power=false`."
        return GateCheck(result.metric, False, reason, limit, result)
    return GateCheck(result.metric, True, f"{change}: {verdict}; {seen}", limit, result)


def describe_power(result: PairedResult) -> str:
    """The smallest drop that the images would have shown, in words."""
    tail = 50 * (1 - result.confidence)
    conditions = f"{100 * POWER:.0f} % power, one-sided {tail:.3g} %"
    return f"the smallest drop that {result.num_images} {result.unit} show is {100 * result.smallest_drop:.2f} ({conditions})"


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
        request = requests.setdefault(owner, GateRequest(owner, scores[owner].dataset, {}, scores[owner].protocol.signed, plain=not named))
        request.limits[metric] = limit
    return list(requests.values())


def check(
    params: Params, layout: Layout, *, held: Mapping[str, RunFiles] | None = None, name: str = BASELINE, on_stale: OnStale = "ignore"
) -> GateDecision:
    """Whether the fresh scores may replace the baseline's.

    Args:
        params: the sections ``gate`` and ``data``, and the seed.
        layout: where the fresh scores and the baseline lie.
        held: the scores of a run to hold against in place of the committed baseline.
        name: of that run.
        on_stale: what to do about fresh scores that are not those of the parameters and files as they are.

    Raises:
        ConfigError: ``gate.max_drop`` names a metric that there is not.
    """
    requests = plan_requests(params.gate.limits, list_scores(params.data))
    return _join([_decide_score(request, params, layout, held, name, on_stale=on_stale) for request in requests])


def _decide_score(
    request: GateRequest, params: Params, layout: Layout, held: Mapping[str, RunFiles] | None, name: str, *, on_stale: OnStale
) -> GateDecision:
    """The decision about one score; every reason not to compare refuses. The candidate comes first, as in a decision."""
    advice = Advice(None if held is None else name, f"poseline score {request.dataset}")
    try:
        candidate = _read_whole(fresh_files(layout, request.score), "candidate", made_by=f"score {request.dataset}")
        candidate = mark_stale(candidate, refuse_stale("score", params, layout, request.dataset, on_stale=on_stale))
    except PoselineError as error:
        return GateDecision(False, f"the fresh score '{request.score}' cannot be used: {error}")
    try:
        files = baseline_files(layout, request.score) if held is None else held.get(request.score)
        if files is None:
            raise ArtifactError(f"it has no score '{request.score}', but {', '.join(held or ())}.")
        baseline = _read_whole(files, name, made_by="gate --accept" if held is None else None)
    except PoselineError as error:
        return GateDecision(False, f"{'the baseline' if held is None else name} cannot be used: {error}", protocol=candidate.score.protocol)
    gate = params.gate
    decision = decide(
        baseline,
        candidate,
        max_drop=request.limits,
        confidence=gate.confidence,
        resamples=gate.resamples,
        seed=params.seed,
        signed=request.signed,
        check_power=gate.check_power,
        advice=advice,
    )
    if not decision.passed and decision.checks:
        grown = name_grown_errors(baseline.score, candidate.score)[:5]
        if grown:
            decision = replace(decision, reason=f"{decision.reason}; errors that grew: {', '.join(grown)}")
    prefix = "" if request.plain else f"{request.score}."
    return replace(decision, checks=tuple(replace(check, metric=prefix + check.metric) for check in decision.checks))


def mark_stale(run: ScoredRun, reason: str | None) -> ScoredRun:
    """The run with the reason why it is stale in its stamp, where there is one."""
    if reason is None:
        return run
    return replace(run, score=run.score.stamped(stale=reason))


def _read_whole(files: RunFiles, name: str, *, made_by: str | None) -> ScoredRun:
    """A score with its table.

    Args:
        files: of the score.
        name: of the run.
        made_by: our command that makes the files; None for those of another run.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    if files.metrics.is_file() and not files.matches.is_file():
        raise ArtifactError(f"{files.matches}: no such file. {remedy(made_by)}")
    return read_score(files, name, made_by=made_by)


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
    protocol = next((decision.protocol for decision in every if decision.protocol), None)
    model = dict.fromkeys(change for decision in every for change in decision.model)
    return GateDecision(not failed, reason, tuple(checks), protocol, tuple(model))


def accept(params: Params, layout: Layout, *, on_stale: OnStale = "ignore") -> dict[str, float]:
    """Make the fresh scores the baseline, whole or not at all; their metrics as ``score.metric``.

    Kept is every score that the limits name, and whatever else was scored, so that other limits find their baseline too.

    Raises:
        ArtifactError: a score that the gate checks is missing, damaged or stale, or does not agree with its table.
        ConfigError: ``gate.max_drop`` names a metric that there is not.
    """
    scores = list_scores(params.data)
    requests = {request.score: request for request in plan_requests(params.gate.limits, scores)}
    others = [name for name in scores if name not in requests and _is_scored(layout, name)]
    makers = {name: f"score {scores[name].dataset}" for name in (*requests, *others)}
    kept = {name: _read_whole(fresh_files(layout, name), "candidate", made_by=maker) for name, maker in makers.items()}
    for name in kept:
        kept[name] = mark_stale(kept[name], refuse_stale("score", params, layout, scores[name].dataset, on_stale=on_stale))
    for name, request in requests.items():
        advice = Advice(remake=f"poseline {makers[name]}")
        decision = decide(kept[name], kept[name], max_drop=request.limits, resamples=20, signed=request.signed, advice=advice)
        if not decision.passed:
            raise ArtifactError(f"{fresh_files(layout, name).metrics}: cannot become the baseline: {decision.reason}")
    with atomic_folder(layout.baseline) as folder:
        for name, run in kept.items():
            table, header = read_table(fresh_files(layout, name).matches, kind="matches", made_by=makers[name])
            write_json(folder / f"{name}.json", run.score.to_json())
            write_table(folder / (name + TABLE_SUFFIX), table, TableHeader("matches", source_hash=header.source_hash))
    return {f"{name}.{key}": value for name, run in kept.items() for key, value in run.score.numbers.items()}


def _is_scored(layout: Layout, score: str) -> bool:
    """Whether the pipeline made this score with its table."""
    files = fresh_files(layout, score)
    return files.metrics.is_file() and files.matches.is_file()
