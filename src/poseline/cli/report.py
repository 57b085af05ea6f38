"""The command that shows: report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poseline.cli.app import RUN, AllowStale, AsJson, Overrides, ParamsFile, advised, app, on_stale, run, show
from poseline.errors import ConfigError

if TYPE_CHECKING:
    from poseline.experiments import StageRun
    from poseline.stages.runner import Context


@app.command()
def report(
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help=f"Compare runs instead, each {RUN}. May be repeated.")
    ] = None,
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="More runs, after --compare.", show_default=False)] = None,
    allow_stale: AllowStale = False,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Write the report page and the model card, or with --compare one page of several runs."""
    from poseline.stages import report as stage

    if compare:
        compare_runs([*compare, *(runs or [])], params, overrides, allow_stale=allow_stale, as_json=as_json)
        return
    if runs:
        raise ConfigError(f"report: got '{runs[0]}'; runs are given after --compare, for example: poseline report --compare main exp-a1b2")

    def work(context: Context, _: StageRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, on_stale=on_stale(allow_stale))

    run("report", work, params, overrides, as_json=as_json)


def compare_runs(runs: list[str], params: Path | None, overrides: list[str] | None, *, allow_stale: bool, as_json: bool) -> None:
    """Write reports/compare.html; it belongs to no execution, so nothing is logged."""
    from poseline.stages import compare as stage
    from poseline.stages.runner import make_context

    started = time.perf_counter()
    context = make_context(params, overrides or [], "cpu")
    with advised(params, overrides):
        result = stage.write_page(runs, context.params, context.layout, on_stale=on_stale(allow_stale))
    show({**result, "page": str(context.layout.page.with_name("compare.html"))}, as_json=as_json, title="report", started=started)
