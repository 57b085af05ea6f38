"""Commands about scores: score, compare, gate, promote, calibrate."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poseline.cli.app import RUN, AllowStale, AsJson, Device, Overrides, ParamsFile, advise, advised, app, on_stale, run, show
from poseline.cli.outputs import new_file, new_folder
from poseline.errors import ConfigError

if TYPE_CHECKING:
    from poseline.evaluation.gate import GateDecision
    from poseline.experiments import StageRun
    from poseline.stages.runner import Context

RESAMPLES = 1000


@app.command()
def score(
    name: Annotated[str | None, typer.Argument(metavar="[SET]", help="A data set: score the pipeline's predictions of it.")] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Score official files by this protocol: coco, crowdpose, mpii, posetrack, ...")
    ] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option("--ground-truth", "--truth", help="Official annotations: a file; a folder for posetrack and mot."),
    ] = None,
    predictions: Annotated[Path | None, typer.Option("--predictions", help="Official results.")] = None,
    mode: Annotated[Literal["poseval", "strict"], typer.Option("--mode", help="posetrack: as published, or strict.")] = "poseval",
    confidence: Annotated[bool, typer.Option("--confidence", help="With 95 % intervals: 1000 resamples, seed 1.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", callback=new_folder, help="Also write the score into this folder, for compare and gate.")
    ] = None,
    require_value: Annotated[
        bool, typer.Option("--require-value", help="Exit code 1 where a headline metric has no value, for CI.")
    ] = False,
    model: Annotated[str | None, typer.Option("--model", help=f"Score another model on this project's data: {RUN}.")] = None,
    allow_stale: AllowStale = False,
    params: ParamsFile = None,
    overrides: Overrides = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score the pipeline's predictions, another model (--model), or any official files (--protocol, --ground-truth, --predictions)."""
    if model is not None:
        if protocol is not None or ground_truth is not None or predictions is not None:
            raise ConfigError("score --model: goes without --protocol, --ground-truth and --predictions.")
        from poseline.cli.named_models import score_model

        score_model(model, [name] if name else None, out, params, overrides, device, as_json=as_json, require_value=require_value)
        return
    if protocol is not None:
        if ground_truth is None or predictions is None or name is not None:
            raise ConfigError("score --protocol: needs --ground-truth PATH and --predictions PATH, and no NAME.")
        from poseline.cli.score_table import format_scores
        from poseline.config import ScoreConfig
        from poseline.evaluation.scoring import require_values, score_files, write_file_score

        options = ScoreConfig(engine="poseline", posetrack_mode=mode, bootstrap=RESAMPLES if confidence else 0)
        files = score_files(protocol, ground_truth, predictions, options)
        if out is not None:
            write_file_score(out, protocol, files)
        print(json.dumps(files.score.to_json(), allow_nan=False) if as_json else format_scores(files.score))
        if require_value:
            require_values(files.score)
        return
    if name is None:
        raise ConfigError("score: name a data set (a key of data.sets), give --model, or --protocol, --ground-truth and --predictions.")
    if ground_truth is not None or predictions is not None or out is not None:
        raise ConfigError(f"score {name}: --ground-truth, --predictions and --out go with --protocol. Leave them or the name out.")
    from poseline.stages import score as stage

    def work(context: Context, _: StageRun) -> Mapping[str, float]:
        return stage.run(context.params, context.layout, name, require_value=require_value, on_stale=on_stale(allow_stale))

    run(f"score@{name}", work, params, overrides, as_json=as_json)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help=f"A run: {RUN}.")],
    second: Annotated[str, typer.Argument(help="Another, compared with the first.")],
    force_different: Annotated[bool, typer.Option("--force-different", help="Compare scores of different protocols too.")] = False,
    allow_stale: AllowStale = False,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Of the images or videos.")] = RESAMPLES,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say which of two runs is better, overall and by slice, or how many images or videos it would take to tell."""
    from poseline.cli.score_table import format_comparison
    from poseline.stages import compare as stage
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "cpu")
    with advised(params, overrides):
        found = stage.run(
            first,
            second,
            context.params,
            context.layout,
            force_different=force_different,
            on_stale=on_stale(allow_stale),
            resamples=resamples,
        )
    if as_json:
        print(json.dumps({comparison.score: comparison.as_dict() for comparison in found}))
        return
    print("\n\n".join(format_comparison(comparison) for comparison in found))


@app.command()
def gate(
    accept: Annotated[bool, typer.Option("--accept", help="Make the fresh scores the baseline.")] = False,
    against: Annotated[str | None, typer.Option("--against", help=f"In place of the committed baseline: {RUN}.")] = None,
    allow_stale: AllowStale = False,
    markdown: Annotated[Path | None, typer.Option("--markdown", callback=new_file, help="Write a summary for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", callback=new_file, help="Write JUnit XML for a CI server.")] = None,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a significant drop against the committed baseline, or another run (exit code 1)."""
    from poseline.artifacts import write_text
    from poseline.evaluation.gate import accept as accept_scores
    from poseline.evaluation.gate_summary import write_junit, write_markdown
    from poseline.experiments.holder import alone
    from poseline.stages import gate as stage
    from poseline.stages.runner import make_context

    if accept and against is not None:
        raise ConfigError("gate: --accept makes the fresh scores the baseline; it does not go with --against.")
    summaries = [(path, write) for path, write in ((markdown, write_markdown), (junit, write_junit)) if path is not None]
    context = make_context(params, overrides or [], "cpu")
    if accept:
        started = time.perf_counter()
        with advised(params, overrides), alone(context.layout, "gate --accept"):
            kept = accept_scores(context.params, context.layout, on_stale=on_stale(allow_stale))
        show(kept, as_json=as_json, title="baseline", started=started)
        return
    decision = stage.run(context.params, context.layout, against=against, on_stale=on_stale(allow_stale))
    decision = replace(decision, reason=advise(decision.reason, params, overrides))
    for path, write in summaries:
        write_text(path, write(decision))
    if as_json:
        print(json.dumps(decision_json(decision)))
    else:
        tell_decision(decision)
    if not decision.passed:
        raise typer.Exit(1)


def decision_json(decision: GateDecision) -> dict[str, object]:
    """A decision as --json prints it."""
    checks = [
        {
            "metric": check.metric,
            "passed": check.passed,
            "reason": check.reason,
            "max_drop": check.max_drop,
            "smallest_drop": check.result and check.result.smallest_drop,
        }
        for check in decision.checks
    ]
    stale = decision.protocol and decision.protocol.stale
    return {"passed": decision.passed, "reason": decision.reason, "model": decision.model, "stale": stale, "checks": checks}


def tell_decision(decision: GateDecision) -> None:
    """Print a decision for people."""
    print(f"gate: {'passed' if decision.passed else 'refused'}: {decision.reason}")
    if decision.model:
        print(f"model: {'; '.join(decision.model)}")
    if decision.protocol is not None and decision.protocol.stale:
        print(f"stale: {decision.protocol.stale}")


@app.command()
def promote(allow_stale: AllowStale = False, params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Make the trained model the store's champion, if it passes the gate against the champion of now (exit code 1)."""
    from poseline.stages import promote as stage
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "cpu")
    promotion = stage.run(context.params, context.layout, on_stale=on_stale(allow_stale))
    decision = replace(promotion.decision, reason=advise(promotion.decision.reason, params, overrides))
    name = context.params.mlflow.registered_model
    if as_json:
        print(json.dumps({"version": promotion.version, "against": promotion.against, **decision_json(decision)}))
    else:
        tell_decision(decision)
        done = f"models:/{name}@champion is version {promotion.version}" if promotion.version else "the alias champion was not moved"
        print(f"promote: {done}; held against {promotion.against}")
    if promotion.version is None:
        raise typer.Exit(1)


@app.command()
def calibrate(
    fraction: Annotated[float, typer.Option("--fraction", "--share", min=0.01, max=1.0, help="Of COCO's training images.")] = 0.2,
    params: ParamsFile = None,
    overrides: Overrides = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Fit expected-OKS rescoring to training people; says what it does to AP. Used with predict.rescoring=expected_oks."""
    from poseline.evaluation import rescoring as stage
    from poseline.stages.runner import make_context

    started = time.perf_counter()
    context = make_context(params, overrides or [], device)
    result = stage.run(context.params, context.layout, context.device, fraction=fraction)
    show(result, as_json=as_json, title="calibrate: AP", started=started)
