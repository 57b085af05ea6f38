"""Commands about networks: models, import-weights, export."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import AsJson, app, show
from poseline.cli.outputs import new_file, new_folder


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", callback=new_file, help="The ONNX file to write; its description is written beside it.")],
    model: Annotated[Path | None, typer.Option("--model", help="Model folder; default: the project's data/model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the trained model as ONNX, checked against PyTorch."""
    from poseline.infer.export import export_onnx
    from poseline.project import located

    started = time.perf_counter()
    difference = export_onnx(model or located("data/model"), out)
    show({"file": str(out), "relative_difference": difference}, as_json=as_json, title="export", started=started)


@app.command("import-weights")
def import_weights(
    file: Annotated[Path, typer.Argument(help="A published checkpoint (.pth, .safetensors).")],
    preset: Annotated[str, typer.Option("--preset", help="What it holds; `poseline models` lists the names.")],
    out: Annotated[Path, typer.Option("--out", callback=new_folder, help="Model folder to write.")],
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
    """List the published models that can be imported (size, cost, metric, protocol, licence); as text also what trains with what."""
    from poseline.zoo.catalogue import list_kinds, list_models
    from poseline.zoo.sizes import SIZES

    presets = list_models(prefix)
    if as_json:
        print(json.dumps([preset.describe() for preset in presets]))
        return
    print(f"{'preset':<42} {'kind':<13} {'codec':<9} {'K':>4} {'input':>8} {'M':>7} {'GMAC':>7} {'metric':>7}  protocol (licence)")
    for preset in presets:
        metric = f"{100 * preset.metric:.1f}" if preset.metric is not None else "-"
        (width, height), (parameters, gmacs) = preset.model.input_wh, SIZES[preset.name]
        print(
            f"{preset.name:<42} {preset.model.kind:<13} {preset.codec.kind:<9} {preset.num_keypoints:>4} {f'{width}x{height}':>8} "
            f"{parameters / 1e6:>7.2f} {gmacs:>7.2f} {metric:>7}  {preset.protocol or 'no published metric'} ({preset.licence})"
        )
    if not prefix:
        print(f"\n{'model.kind':<13} {'codec.kind':<58} model.backbone")
        for kind in list_kinds():
            backbones = dict.fromkeys(re.sub(r"\d+$|_(w\d+|[a-z]+)$", "*", name) for name in kind.backbones)
            print(f"{kind.kind:<13} {', '.join(kind.codecs):<58} {', '.join(backbones)}")
