"""The regression check: a pure decision whether a candidate's scores may replace the baseline's. It fails closed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from poseline.errors import DataError
from poseline.evaluation.bootstrap import FEWEST, PairedResult, Table, paired_bootstrap_metrics
from poseline.evaluation.protocol import Protocol, differences
from poseline.metrics.video_table import VideoTable


@dataclass(frozen=True)
class ScoredRun:
    """Scores of one run under one protocol.

    Attributes:
        metrics: fractions; None where a metric has no value.
        protocol: the stamp.
        table: matches or distances by picture, or sums by video; None leaves nothing to test significance with.
        name: for messages.
    """

    metrics: Mapping[str, float | None]
    protocol: Protocol
    table: Table | None = None
    name: str = "run"


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
    protocol: Protocol | None = None


def decide(
    baseline: ScoredRun | None,
    candidate: ScoredRun | None,
    *,
    max_drop: float | Mapping[str, float],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> GateDecision:
    """Passes unless a metric fell by more than its ``max_drop`` and the fall is significant over the pictures (or videos).

    Args:
        baseline: the run to hold against; None fails.
        candidate: the new run; None fails.
        max_drop: tolerated drop as a fraction: of ``ap``, or by metric (``ap_SLICE`` for a slice of the table).
        confidence: of the two-sided interval of the difference; its upper end below 0 is a significant fall.
        resamples: of the pictures.
        seed: of the resampling.
    """
    limits = dict(max_drop) if isinstance(max_drop, Mapping) else {"ap": float(max_drop)}
    problem = _problem(baseline, candidate, limits)
    if problem is not None or baseline is None or candidate is None:
        return GateDecision(False, problem or "no runs", protocol=candidate.protocol if candidate else None)
    assert baseline.table is not None
    assert candidate.table is not None
    try:
        results = paired_bootstrap_metrics(
            baseline.table, candidate.table, list(limits), resamples=resamples, seed=seed, confidence=confidence
        )
    except DataError as error:
        return GateDecision(False, str(error), protocol=candidate.protocol)
    checks = tuple(_check(result, limits[result.metric], baseline.metrics, candidate.metrics) for result in results)
    failed = [check for check in checks if not check.passed]
    reason = failed[0].reason if failed else "; ".join(check.reason for check in checks)
    return GateDecision(not failed, reason, checks, candidate.protocol)


def _problem(baseline: ScoredRun | None, candidate: ScoredRun | None, limits: Mapping[str, float]) -> str | None:
    """Why the runs cannot be compared; None where they can."""
    if baseline is None:
        return "there is no baseline. Make one with 'poseline gate --accept'."
    if candidate is None:
        return "there is no fresh score. Run the score stage first."
    if not limits:
        return "no metric is checked. Set gate.max_drop."
    unlike = differences(baseline.protocol, candidate.protocol)
    if unlike:
        return f"the baseline was made under another protocol ({'; '.join(unlike)}). Renew it with 'poseline gate --accept'."
    for run in (baseline, candidate):
        for name in limits:
            value = run.metrics.get(name)
            lowest = -math.inf if name == "mota" else 0.0
            if value is None or not lowest <= value <= 1:
                found = "missing" if value is None else f"{value}, not a fraction"
                return f"metric '{name}' of the {'baseline' if run is baseline else 'candidate'} is {found}. Score again."
        if run.table is None:
            return f"the table of the {'baseline' if run is baseline else 'candidate'} is missing. Score again."
        if len(run.table.image_ids) < FEWEST:
            few = f"{len(run.table.image_ids)} {run.table.unit}"
            return f"{few} are too few to tell a change, at least {FEWEST} are needed. Score a larger set, or leave the metric out."
    modes = [run.table.mode for run in (baseline, candidate) if isinstance(run.table, VideoTable)]
    if len(set(modes)) > 1:
        return f"the baseline was made in mode {modes[0]}, the candidate in {modes[1]}. Renew it with 'poseline gate --accept'."
    return None


def _check(
    result: PairedResult, limit: float, baseline: Mapping[str, float | None], candidate: Mapping[str, float | None]
) -> GateCheck:
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
