"""Commands about networks: models, import-weights, export."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import AsJson, app, show


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write; its description is written beside it.")],
    model: Annotated[Path | None, typer.Option("--model", help="Model folder; default: the project's data/model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the trained model as ONNX, checked against PyTorch."""
    from poseline.infer.export import export_onnx
    from poseline.project import workspace_root

    started = time.perf_counter()
    difference = export_onnx(model or workspace_root() / "data/model", out)
    show({"file": str(out), "relative_difference": difference}, as_json=as_json, title="export", started=started)


@app.command("import-weights")
def import_weights(
    file: Annotated[Path, typer.Argument(help="A published checkpoint (.pth, .safetensors).")],
    preset: Annotated[str, typer.Option("--preset", help="What it holds; `poseline models` lists the names.")],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    as_json: AsJson = False,
) -> None:
    """Convert a published checkpoint into a model folder that predicts as it was published."""
    from poseline.zoo.weights import import_weights as convert

    started = time.perf_counter()
    saved = convert(file, preset, out)
    result = {"folder": str(out), "preset": preset, "skeleton": saved.skeleton, "keypoints": saved.num_keypoints}
    show(result, as_json=as_json, title="import-weights", started=started)


@app.command("models")
def list_presets(
    prefix: Annotated[str, typer.Argument(help="Only names that start so, for example alphapose/.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the published models that can be imported (size, cost, figure, protocol); as text also what can be trained with what."""
    from poseline.zoo.catalogue import KINDS, list_models

    rows = list_models(prefix)
    if as_json:
        print(json.dumps([vars(row) for row in rows]))
        return
    print(f"{'preset':<42} {'kind':<13} {'codec':<9} {'K':>4} {'input':>8} {'M':>7} {'GMAC':>7} {'figure':>7}  protocol")
    for row in rows:
        figure = f"{100 * row.figure:.1f}" if row.figure is not None else "-"
        width, height = row.input_wh
        print(
            f"{row.preset:<42} {row.kind:<13} {row.codec:<9} {row.num_keypoints:>4} {f'{width}x{height}':>8} "
            f"{row.parameters / 1e6:>7.2f} {row.gmacs:>7.2f} {figure:>7}  {row.protocol}"
        )
    if not prefix:
        print(f"\n{'model.kind':<13} {'model.head':<38} {'codec.kind':<58} model.backbone")
        for kind in KINDS:
            print(f"{kind.kind:<13} {kind.heads:<38} {', '.join(kind.codecs):<58} {', '.join(kind.backbones)}")
