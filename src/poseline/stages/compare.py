"""Runs side by side, each looked up by name: two in verdicts, several on a page."""

from __future__ import annotations

from collections.abc import Sequence

from poseline.artifacts import Layout, write_text
from poseline.config import Params
from poseline.errors import DataError
from poseline.evaluation.compare import ScoreComparison, compare_runs
from poseline.experiments.locate import locate_run
from poseline.report import comparison


def run(
    first: str, second: str, params: Params, layout: Layout, *, force_different: bool = False, resamples: int = 1000
) -> list[ScoreComparison]:
    """The second run against the first in every score that both have.

    Raises:
        DataError: a run is not found, no common score, or different protocols.
    """
    found = [locate_run(name, params, layout) for name in (first, second)]
    return compare_runs(found[0], found[1], names=(first, second), force_different=force_different, resamples=resamples, seed=params.seed)


def write_page(runs: Sequence[str], params: Params, layout: Layout) -> dict[str, int]:
    """Write reports/compare.html, which sets these runs side by side; counts.

    Raises:
        DataError: a run is not found, or is named twice.
    """
    twice = next((run for run in runs if runs.count(run) > 1), None)
    if twice is not None:
        raise DataError(f"report --compare: '{twice}' is named twice. Name each run once.")
    text = comparison.compare_runs({name: locate_run(name, params, layout) for name in runs})
    write_text(layout.page.with_name("compare.html"), text)
    return {"runs": len(runs), "bytes": len(text.encode())}
