"""The regression gate, against the committed baseline or a run that is looked up."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.artifacts.freshness import OnStale
from poseline.config import Params
from poseline.errors import PoselineError
from poseline.evaluation.gate import BASELINE, GateDecision, check
from poseline.experiments.locate import locate_run


def run(params: Params, layout: Layout, *, against: str | None = None, on_stale: OnStale = "ignore") -> GateDecision:
    """Whether the fresh scores may replace the baseline's, or those of the run ``against``. A run that is not found refuses.

    Raises:
        ConfigError: ``gate.max_drop`` names a metric that there is not.
    """
    try:
        held = None if against is None else locate_run(against, params, layout)
    except PoselineError as error:
        return GateDecision(False, f"{against} cannot be used: {error}")
    return check(params, layout, held=held, name=against or BASELINE, on_stale=on_stale)
