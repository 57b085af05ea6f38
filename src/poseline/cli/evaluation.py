"""Commands that judge: score, gate."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poseline.cli.app import AsJson, Overrides, ParamsFile, app, print_scores, run, show
from poseline.errors import ConfigError

if TYPE_CHECKING:
    from poseline.stages.runner import Context
    from poseline.train.tracking import NullRun


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
