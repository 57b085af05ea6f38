"""Runs side by side, each looked up by name: two in verdicts, several on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poseline.artifacts import Layout, write_text
from poseline.artifacts.freshness import OnStale
from poseline.config import Params
from poseline.errors import DataError
from poseline.evaluation.compare import ScoreComparison, compare_runs
from poseline.evaluation.stale import find_stale
from poseline.experiments.locate import locate_run


def run(
    first: str,
    second: str,
    params: Params,
    layout: Layout,
    *,
    force_different: bool = False,
    on_stale: OnStale = "ignore",
    resamples: int = 1000,
) -> list[ScoreComparison]:
    """The second run against the first in every score that both have.

    Raises:
        DataError: a run is not found, no common score, or different protocols.
        StaleError: a run lies in a project whose parameters or files have changed since, and that is to be refused.
    """
    found = [locate_run(name, params, layout) for name in (first, second)]
    stale = [find_stale(files, params, layout, on_stale=on_stale) for files in found]
    made = compare_runs(found[0], found[1], names=(first, second), force_different=force_different, resamples=resamples, seed=params.seed)
    return [
        replace(
            entry,
            first=entry.first.model_copy(update={"stale": stale[0].get(entry.score, entry.first.stale)}),
            second=entry.second.model_copy(update={"stale": stale[1].get(entry.score, entry.second.stale)}),
        )
        for entry in made
    ]


def write_page(runs: Sequence[str], params: Params, layout: Layout, *, on_stale: OnStale = "ignore") -> dict[str, int]:
    """Write reports/compare.html, which sets these runs side by side; counts.

    Raises:
        DataError: a run is not found, or is named twice.
        StaleError: a run lies in a project whose parameters or files have changed since, and that is to be refused.
    """
    from poseline.report import comparison  # its templates come with an extra, which verdicts do without

    twice = next((run for run in runs if runs.count(run) > 1), None)
    if twice is not None:
        raise DataError(f"report --compare: '{twice}' is named twice. Name each run once.")
    found = {name: locate_run(name, params, layout) for name in runs}
    stale = {name: find_stale(files, params, layout, on_stale=on_stale) for name, files in found.items()}
    text = comparison.compare_runs(found, stale=stale)
    write_text(layout.page.with_name("compare.html"), text)
    return {"runs": len(runs), "bytes": len(text.encode())}
