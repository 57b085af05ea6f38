"""The command that labels images with a model: pseudo-label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from poseline.cli.app import AsJson, Device, Overrides, ParamsFile, app
from poseline.cli.outputs import new_folder


@app.command("pseudo-label")
def pseudo_label(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images without annotations.")],
    out: Annotated[Path, typer.Option("--out", callback=new_folder, help="Folder for the annotations, pseudo.json in COCO's form.")],
    model: Annotated[str, typer.Option("--model", help="A trained folder, or what `poseline compare` takes.")] = "data/model",
    name: Annotated[str, typer.Option("--calibrate-on", help="The labelled set on whose val people the scores are calibrated.")] = "coco",
    precision: Annotated[float, typer.Option("--precision", min=0.5, max=0.999, help="Fraction that shall be right.")] = 0.9,
    detector: Annotated[str | None, typer.Option("--detector", help="Finds the people: a name of the catalogue, an ONNX file.")] = None,
    boxes: Annotated[Path | None, typer.Option("--boxes", help="In its place: people's boxes, COCO's detection results.")] = None,
    params: ParamsFile = None,
    overrides: Overrides = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Label images with a model, as one more set to train on: people and keypoints that are right in a fraction --precision of cases."""
    from poseline.cli.named_models import find_model
    from poseline.errors import ConfigError
    from poseline.project import located, shown
    from poseline.stages import pseudo_label as stage
    from poseline.stages.runner import make_context

    if (detector is None) == (boxes is None):
        raise ConfigError("pseudo-label: give --detector NAME or --boxes FILE, one of them: who finds the people?")
    context = make_context(params, overrides or [], device)
    place = located(model) if model == "data/model" else find_model(model)
    labels = stage.run(
        context.params, context.layout, context.device, folder, model=place, out=out, name=name, precision=precision, detector=detector,
        boxes=boxes,
    )  # fmt: skip
    train = {"annotations": stage.LABELS, "images": str(shown(folder.resolve()))}
    entry = {"format": "coco", "annotations": str(shown(out.resolve())), "train": train, "skeleton": context.params.data.skeleton}
    if as_json:
        print(json.dumps({**vars(labels), "file": str(labels.file), "person": vars(labels.person), "keypoint": vars(labels.keypoint),
                          "entry": entry}))  # fmt: skip
        return
    for what, one in (("people", labels.person), ("keypoints", labels.keypoint)):
        kept = f"{one.precision:.3f} of {one.kept} are right, of {one.of} found"
        print(f"{what} of score {one.score:.3f} and more: on val of {name} {kept}")
    print(
        f"pseudo-label: {labels.people} of {labels.found} people with {labels.keypoints} keypoints in {labels.images} images, {labels.file}"
    )
    print(f"Train on them with this line below data.sets of params.yaml:\n    pseudo: {json.dumps(entry)}")
