"""The command line. It parses, calls one function, prints; heavy imports stay inside the commands."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poseline.errors import ConfigError, PoselineError

if TYPE_CHECKING:
    from poseline.config import Benchmark
    from poseline.stages.runner import Context
    from poseline.train.tracking import NullRun

app = typer.Typer(
    name="poseline",
    help="Multi-person pose estimation and tracking as a traceable pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

ParamsFile = Annotated[Path | None, typer.Option("--params", help="Parameter file; default: params.yaml of the project.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override one value: --set train.epochs=5. May be repeated.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
BenchmarkName = Annotated[Literal["coco", "mpii", "posetrack"], typer.Argument(help="The benchmark.")]


def main() -> None:
    """Run the command line; errors a user can act on are one line, without a traceback unless --debug is given."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments)
    except (PoselineError, FloatingPointError) as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def show(result: Mapping[str, object], *, as_json: bool, title: str, started: float) -> None:
    """Print a stage's result: one line for people, or JSON."""
    if as_json:
        print(json.dumps(result))
        return
    parts = [f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items()]
    print(f"{title}: {', '.join(parts) or 'not enabled, nothing done'}  ({time.perf_counter() - started:.1f} s)")


def run(name: str, work: Callable[[Context, NullRun], Mapping[str, float]], params: Path | None, overrides: list[str] | None, *,
        device: str = "auto", as_json: bool = False) -> None:
    """One stage under the tracker."""
    from poseline.stages.runner import make_context, run_stage

    started = time.perf_counter()
    context = make_context(params, overrides or [], device)
    result = run_stage(name, context, lambda tracker: work(context, tracker))
    show(result, as_json=as_json, title=name, started=started)


@app.command()
def init(params: ParamsFile = None, overrides: Overrides = None) -> None:
    """Set up the experiment store once (safe to repeat)."""
    from poseline.stages.runner import make_context
    from poseline.train.tracking import init_store

    context = make_context(params, overrides or [], "auto")
    if context.params.mlflow.enabled:
        init_store(context.params.mlflow, context.layout.main or context.layout.root)


@app.command()
def doctor(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check versions, devices, the experiment store and the disk, with a hint for each fault."""
    from poseline.doctor import diagnose
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "auto")
    checks = diagnose(context.params, context.layout.main or context.layout.root)
    if as_json:
        print(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            hint = f"\n        {check.hint}" if check.hint else ""
            print(f"{check.status:<5} {check.name:<22} {check.value}{hint}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


@app.command()
def mini(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Draw the embedded data sets."""
    from poseline.stages import mini as stage

    run("mini", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


@app.command()
def validate(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check the annotations; errors stop here with exit code 1."""
    from poseline.stages import validate as stage

    run("validate", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


@app.command()
def preprocess(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Write person records and crops."""
    from poseline.stages import preprocess as stage

    run("preprocess", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


@app.command()
def train(params: ParamsFile = None, overrides: Overrides = None, device: Device = "auto", as_json: AsJson = False) -> None:
    """Train one model for every benchmark; resumes a run that was cut off."""
    from poseline.stages import train as stage

    def work(context: Context, tracker: NullRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, context.device, tracker)

    run("train", work, params, overrides, device=device, as_json=as_json)


@app.command()
def predict(
    benchmark: BenchmarkName, params: ParamsFile = None, overrides: Overrides = None, device: Device = "auto", as_json: AsJson = False
) -> None:
    """Predict the poses of a benchmark's val pictures."""
    from poseline.stages import predict as stage

    def work(context: Context, _: NullRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, context.device, benchmark)

    run(f"predict@{benchmark}", work, params, overrides, device=device, as_json=as_json)


@app.command()
def track(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Track the predicted PoseTrack videos."""
    from poseline.stages import track as stage

    run("track", lambda context, _: stage.run(context.params, context.layout), params, overrides, as_json=as_json)


if __name__ == "__main__":
    main()
