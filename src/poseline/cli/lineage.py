"""The command that tells where a result came from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from poseline.cli.app import RUN, AsJson, Overrides, ParamsFile, app


@app.command()
def lineage(
    target: Annotated[str, typer.Argument(metavar="NAME", help=f"A model or scores: {RUN}.")],
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Tell where a result came from: run, commit, parameters, data and environment; and all else that was made from the same data."""
    from poseline.experiments.ancestry import describe, find_ancestry
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "cpu")
    found = find_ancestry(target, context.params, context.layout)
    print(json.dumps(vars(found)) if as_json else describe(found))
