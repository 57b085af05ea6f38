"""The trained model made the champion of the experiment store, where it passes the gate."""

from __future__ import annotations

from dataclasses import dataclass

from poseline.artifacts import Layout
from poseline.artifacts.freshness import OnStale
from poseline.config import Params
from poseline.evaluation.gate import BASELINE, GateDecision
from poseline.experiments.champion import CHAMPION, has_champion, set_champion
from poseline.models.saved import WEIGHTS_FILE
from poseline.stages import gate


@dataclass(frozen=True)
class Promotion:
    """What became of a model that was to be champion.

    Attributes:
        decision: of the gate.
        against: what it was held against: the champion, or the committed baseline where the store has none yet.
        version: of the registered model that has the alias now; None: it was not moved.
    """

    decision: GateDecision
    against: str
    version: str | None


def run(params: Params, layout: Layout, *, on_stale: OnStale = "ignore") -> Promotion:
    """Gate the fresh scores against those of the champion, and move the alias to the model in ``data/model`` if they pass.

    Raises:
        ConfigError: ``gate.max_drop`` names a metric that there is not.
        BackendError: the store does not answer, or knows no model with these weights.
    """
    held = CHAMPION if has_champion(params, layout) else None
    decision = gate.run(params, layout, against=held, on_stale=on_stale)
    version = set_champion(params, layout, weights=layout.model / WEIGHTS_FILE) if decision.passed else None
    return Promotion(decision, held or BASELINE, version)
