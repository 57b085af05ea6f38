"""Two runs side by side, each looked up by name."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.evaluation.compare import ScoreComparison, compare_runs
from poseline.experiments.locate import locate_run


def run(
    first: str, second: str, params: Params, layout: Layout, *, force_different: bool = False, resamples: int = 1000
) -> list[ScoreComparison]:
    """The second run against the first in every score that both have.

    Raises:
        DataError: a run is not found, no common score, or different protocols.
    """
    found = [locate_run(name, params, layout) for name in (first, second)]
    return compare_runs(found[0], found[1], names=(first, second), force_different=force_different, resamples=resamples, seed=params.seed)
