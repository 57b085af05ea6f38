"""Commands about networks: export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import AsJson, app, show


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
