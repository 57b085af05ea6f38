"""The command that searches over parameters: sweep."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import AsJson, app


@app.command()
def sweep(
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="Parameters, each with [values] or {low, high, log, step}.")],
    trials: Annotated[int, typer.Option("--trials", min=1, help="Trials that this call runs.")] = 10,
    name: Annotated[str | None, typer.Option("--name", help="Of the study and its experiments NAME-001, ...; default: the file's.")] = None,
    metric: Annotated[str, typer.Option("--metric", help="The metric whose largest value is looked for.")] = "coco.ap",
    prune_after: Annotated[int, typer.Option("--prune-after", min=1, help="Trials that run whole before any is stopped early.")] = 3,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Stop trainings whose validation AP lies below the median.")] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is proposed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Search over parameters: each trial is a DVC experiment; the same command goes on with the study."""
    from poseline.project import located
    from poseline.stages.runner import make_context
    from poseline.sweep.space import read_space
    from poseline.sweep.study import Settings, best
    from poseline.sweep.study import sweep as run_sweep

    context = make_context(None, [], "cpu")
    found = read_space(space, located("params.yaml"))
    if prune and not context.params.mlflow.enabled:
        print("sweep: mlflow.enabled is false, so that no history is written while a trial trains: none is stopped early", file=sys.stderr)
    settings = Settings(name or space.stem, metric, trials, seed, prune_after if prune else None)
    rows = run_sweep(found, settings, context.layout, say=lambda line: print(line, file=sys.stderr, flush=True))
    top = best(rows)
    if as_json:
        print(json.dumps({"metric": metric, "best": top.name if top else None, "trials": [vars(row) for row in rows]}))
        return
    keys = list(found.parameters)
    lines = [["trial", *keys, metric, "state"]]
    for row in rows:
        value = "-" if row.value is None or row.state != "complete" else f"{row.value:.4f}"
        lines.append([row.name, *(str(row.params.get(key, "-")) for key in keys), value, f"{row.state} {row.reason}".rstrip()])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)).rstrip())
    if top is not None:
        print(f"best: {top.name} with {metric} {top.value:.4f}. Take it: dvc exp apply {top.name}")
