"""One command a pipeline stage. Heavy imports stay inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from poseline.cli.app import AsJson, Device, Overrides, ParamsFile, SetName, app, run, run_each

if TYPE_CHECKING:
    from poseline.experiments import StageRun
    from poseline.stages.runner import Context


@app.command()
def mini(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Draw the embedded data sets."""
    from poseline.stages import mini as stage

    run("mini", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


@app.command()
def validate(
    name: Annotated[str | None, typer.Argument(metavar="[SET]", help="One data set; default: every one that is enabled.")] = None,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check the annotations; errors stop here with exit code 1."""
    from poseline.datasets.sets import enabled_sets
    from poseline.stages import validate as stage

    def choose(context: Context) -> list[str]:
        return [name] if name else enabled_sets(context.params.data)

    run_each("validate", choose, lambda context, one: stage.run(context.params, context.layout, one), params, overrides, as_json=as_json)


@app.command()
def preprocess(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Write the tables of people and images, and the crops."""
    from poseline.stages import preprocess as stage

    run("preprocess", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


@app.command()
def train(params: ParamsFile = None, overrides: Overrides = None, device: Device = "auto", as_json: AsJson = False) -> None:
    """Train one model for every benchmark; resumes a run that was cut off."""
    from poseline.stages import train as stage

    def work(context: Context, record: StageRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, context.device, record)

    run("train", work, params, overrides, device=device, as_json=as_json)


@app.command()
def predict(
    name: SetName, params: ParamsFile = None, overrides: Overrides = None, device: Device = "auto", as_json: AsJson = False
) -> None:
    """Predict the poses of a data set's val images."""
    from poseline.stages import predict as stage

    def work(context: Context, _: StageRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, context.device, name)

    run(f"predict@{name}", work, params, overrides, device=device, as_json=as_json)
