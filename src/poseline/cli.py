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


def run(
    name: str,
    work: Callable[[Context, NullRun], Mapping[str, float]],
    params: Path | None,
    overrides: list[str] | None,
    *,
    device: str = "auto",
    as_json: bool = False,
) -> None:
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
        init_store(context.params.mlflow, context.main)


@app.command()
def doctor(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check versions, devices, the experiment store and the disk, with a hint for each fault."""
    from poseline.doctor import diagnose
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "auto")
    checks = diagnose(context.params, context.main)
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


@app.command()
def score(
    name: Annotated[
        Literal["coco", "coco_detections", "mpii", "posetrack"] | None, typer.Argument(help="A score of the pipeline's predictions.")
    ] = None,
    protocol: Annotated[
        Literal["coco", "mpii", "posetrack"] | None, typer.Option("--protocol", help="Score official files by this protocol.")
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Official annotations (file, or folder of PoseTrack files).")] = None,
    predictions: Annotated[Path | None, typer.Option("--predictions", help="Official results.")] = None,
    mode: Annotated[Literal["poseval", "strict"], typer.Option("--mode", help="posetrack: as published, or strict.")] = "poseval",
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Score the pipeline's predictions, or any official files (--protocol, --truth, --predictions)."""
    if protocol is not None:
        if truth is None or predictions is None or name is not None:
            raise ConfigError("score --protocol: needs --truth PATH and --predictions PATH, and no NAME.")
        from poseline.stages.score_files import score_files

        result = score_files(protocol, truth, predictions, mode=mode)
        if as_json:
            print(json.dumps(result))
        else:
            print_scores(result)
        return
    if name is None:
        raise ConfigError("score: name one of coco, coco_detections, mpii, posetrack; or give --protocol, --truth and --predictions.")
    from poseline.stages import score as stage

    def work(context: Context, tracker: NullRun) -> Mapping[str, float]:
        result = stage.run(context.params, context.layout, name)
        tracker.log_report(context.layout.metrics / f"{name}.json", weights=context.layout.model / "model.safetensors")
        return result

    run(f"score@{name}", work, params, overrides, as_json=as_json)


def print_scores(result: Mapping[str, object], indent: str = "") -> None:
    """Print numbers as a table, percent with two decimals."""
    for key, value in result.items():
        if isinstance(value, Mapping):
            print(f"{indent}{key}")
            print_scores(value, indent + "  ")
        elif isinstance(value, float):
            print(f"{indent}{key:<24} {100 * value:8.2f}")
        else:
            print(f"{indent}{key:<24} {value if value is not None else '-':>8}")


@app.command()
def gate(
    accept: Annotated[bool, typer.Option("--accept", help="Make the fresh scores the baseline.")] = False,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a significant drop of COCO AP against the committed baseline (exit code 1)."""
    from poseline.stages import gate as stage
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "cpu")
    if accept:
        started = time.perf_counter()
        show(stage.accept(context.layout), as_json=as_json, title="baseline", started=started)
        return
    decision = stage.run(context.params, context.layout)
    if as_json:
        print(json.dumps({"passed": decision.passed, "reason": decision.reason}))
    else:
        print(f"gate: {'passed' if decision.passed else 'refused'}: {decision.reason}")
    if not decision.passed:
        raise typer.Exit(1)


@app.command()
def sync(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Bring the experiment store up to date: logs that waited, and stages that DVC restored from its cache."""
    from poseline.stages.runner import make_context
    from poseline.train.tracking import sync as bring_up_to_date

    context = make_context(params, overrides or [], "cpu")
    started = time.perf_counter()
    if not context.params.mlflow.enabled:
        raise ConfigError("mlflow.enabled is false: there is no store to bring up to date.")
    report = bring_up_to_date(context.params, context.main, workspace=context.layout.root.resolve())
    result = {**vars(report), "mirrored": len(report.mirrored), "out_of_date": ", ".join(report.out_of_date) or 0}
    show(result, as_json=as_json, title="sync", started=started)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write; its description is written beside it.")],
    model: Annotated[Path | None, typer.Option("--model", help="Model folder; default: data/model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the trained model as ONNX, checked against PyTorch."""
    from poseline.infer.export import export_onnx

    started = time.perf_counter()
    difference = export_onnx(model or Path("data/model"), out)
    show({"file": str(out), "relative_difference": difference}, as_json=as_json, title="export", started=started)


if __name__ == "__main__":
    main()
