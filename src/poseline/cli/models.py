"""Commands about networks: models, import-weights, export."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import RUN, AsJson, app, show
from poseline.cli.named_models import find_model
from poseline.cli.outputs import new_file, new_folder


@app.command()
def export(
    model: Annotated[str | None, typer.Argument(help=f"The model: {RUN}; default: the project's data/model.")] = None,
    to: Annotated[str, typer.Option("--to", help="What to write: onnx.")] = "onnx",
    out: Annotated[Path | None, typer.Option("--out", callback=new_file, help="The file to write; default: model.onnx, here.")] = None,
    named_model: Annotated[str | None, typer.Option("--model", help="The same by option.")] = None,
    outputs: Annotated[str, typer.Option("--outputs", help="raw, or keypoints: decoded in the graph.")] = "raw",
    precision: Annotated[str, typer.Option("--precision", help="fp32, fp16 or int8; the last two need --data.")] = "fp32",
    data: Annotated[Path | None, typer.Option("--data", help="People in COCO's format, for checks, ranges of int8 and AP.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of their images; default: images beside the file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model as ONNX, described inside, checked against PyTorch on crops of people."""
    from poseline.infer.export_command import ExportOptions, run_export
    from poseline.project import workspace_root

    started = time.perf_counter()
    named = model or named_model
    folder = find_model(named) if named else workspace_root() / "data/model"
    options = ExportOptions.checked(to=to, outputs=outputs, precision=precision, data=data, images=images)
    result = run_export(folder, out or Path("model.onnx"), options)
    show(result, as_json=as_json, title="export", started=started)


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
