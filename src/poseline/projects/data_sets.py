"""The section ``data`` of a new project's params.yaml, for the official data sets and for one of your own, and what goes with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from poseline.artifacts import write_text
from poseline.config.params import Yaml
from poseline.datasets.images import IMAGE_SUFFIXES
from poseline.errors import ConfigError
from poseline.projects.own_data import OwnData, read_own_data, skeleton_values
from poseline.projects.params_text import flow, replace_section, set_values

Source = Literal["mini", "coco", "mpii", "posetrack", "own"]
SKELETON_FILE = "skeleton.yaml"
CROPS = 60_000
"""People that a training of a small set of your own looks at in all, by default: minutes on a CPU."""
FULL_SIZE: dict[str, Yaml] = {
    "model.backbone": "resnet50", "model.width": 1.0, "model.weights": "imagenet", "model.input_wh": [192, 256], "model.padding": 1.25,
    "model.head": "standard", "model.deconv_channels": [256, 256, 256], "train.epochs": 140, "train.batch_size": 64,
    "train.learning_rate": 0.0005, "train.ema": 0.999, "train.processes": "auto", "train.validate_people": 6000, "gate.check_power": True,
}  # fmt: skip
"""What a full-size set is trained with: a simple baseline at 256 x 192."""


@dataclass(frozen=True)
class Official:
    """An official set: its files below its folder.

    Attributes:
        skeleton: what the model learns.
        splits: train and val: (annotations below ``annotations``, folder of the images).
        head_boxes: file of the head boxes.
    """

    skeleton: str
    splits: Mapping[str, tuple[str, str]]
    head_boxes: str | None = None


OFFICIAL = {
    "coco": Official("coco17", {split: (f"person_keypoints_{split}2017.json", f"{split}2017") for split in ("train", "val")}),
    "mpii": Official("mpii16", {"train": ("train.json", "images"), "val": ("valid.json", "images")}, "gt_valid.mat"),
    "posetrack": Official("posetrack15", {"train": ("train", ""), "val": ("val", "")}),
}


@dataclass(frozen=True)
class DataPlan:
    """What a source of data brings into a new project.

    Attributes:
        values: dotted key of params.yaml -> value.
        section: the text of the section ``data``; empty keeps that of the template, and draws its sets.
        own: of a set of your own: what its folder holds.
        notes: what the user should know.
    """

    values: Mapping[str, Yaml] = field(default_factory=dict)
    section: str = ""
    own: OwnData | None = None
    notes: tuple[str, ...] = ()

    def render(self, template: str) -> str:
        """The text of params.yaml."""
        text = set_values(template, self.values)
        return replace_section(replace_section(text, "mini", ""), "data", self.section) if self.section else text


def plan_data(source: Source, data: Path | None, project: Path) -> DataPlan:
    """What a source of data brings into a new project. Nothing is written.

    Raises:
        ConfigError: a source that needs a folder without one, one that needs none with one, or no such folder.
        DataError: the folder is not in the form that the source has.
    """
    if source == "mini":
        if data is not None:
            raise ConfigError("--from mini draws its own data: leave --data out, or give --from own, coco, mpii or posetrack.")
        return DataPlan()
    if source == "own":
        if data is None:
            raise ConfigError("--from own: name the folder with --data: annotation files (JSON) in COCO's form, and the images.")
        return _plan_own(read_own_data(data.resolve()), project)
    return _plan_official(source, data, project)


def _plan_official(source: Literal["coco", "mpii", "posetrack"], data: Path | None, project: Path) -> DataPlan:
    form = OFFICIAL[source]
    place = data.resolve() if data is not None else project / "datasets" / source
    needed = [path for listed, images in form.splits.values() for path in (place / "annotations" / listed, place / images)]
    missing = [path for path in needed if not path.exists()]
    if data is not None and missing:
        raise ConfigError(f"--data {data}: no {missing[0].relative_to(place)}. Expected the files of {source}; or give --from own.")
    splits: dict[str, Yaml] = {
        split: {"annotations": listed, "images": shown_in(place / images, project)} for split, (listed, images) in form.splits.items()
    }
    found = next((place / "annotations").glob("*detections*val*.json"), None)
    entry: dict[str, Yaml] = {
        "format": source, "enabled": True, "annotations": shown_in(place / "annotations", project), **splits,
        "detections": found.name if found is not None else None, "head_boxes": form.head_boxes, "skeleton": None,
        "results": f"data/{'tracks' if source == 'posetrack' else 'predictions'}/{source}",
    }  # fmt: skip
    videos: list[Yaml] = [source] if source == "posetrack" else []
    hint = f"put or link {source} under {shown_in(place, project)} (annotations and images), or name its place in params.yaml"
    values = {**FULL_SIZE, "track.sets": videos} | _gate(source)
    return DataPlan(values, data_section(form.skeleton, {source: entry}), notes=(hint,) if missing else ())


def _plan_own(own: OwnData, project: Path) -> DataPlan:
    skeleton = own.skeleton or SKELETON_FILE
    in_place = annotation_folder(own)
    splits: dict[str, Yaml] = {
        name: {"annotations": files.annotations.name if in_place else f"{name}.json", "images": shown_in(files.images, project)}
        for name, files in own.splits.items()
    }
    entry: dict[str, Yaml] = {
        "format": "coco", "enabled": True, "annotations": shown_in(in_place, project) if in_place else "annotations/own", **splits,
        "detections": None, "head_boxes": None, "skeleton": skeleton, "results": "data/predictions/own",
    }  # fmt: skip
    epochs = max(10, min(210, round(CROPS / max(1, own.people))))
    values: dict[str, Yaml] = {"track.sets": [], "train.epochs": epochs, "train.validate_every": 10}
    sizes = {name: files.num_images for name, files in own.splits.items()}
    names = ", ".join([*own.keypoints[:6], *(["..."] if len(own.keypoints) > 6 else [])])
    notes = [f"{sizes['train']} images to train on, {sizes['val']} to score, {len(own.keypoints)} keypoints ({names})"]
    if own.made:
        notes.append("the set names no splits: about a fifth of its images is val (annotations/own); move images as you like")
    if own.skeleton is None:
        notes.append(f"{SKELETON_FILE}: look at its flip_pairs (left and right) and sigmas (0.05 for all: nobody has measured them)")
    return DataPlan(values, data_section(skeleton, {"own": entry}), own, tuple(notes))


def write_own(own: OwnData, project: Path) -> list[Path]:
    """The skeleton and the annotation files that a set of your own needs within the project; the files written."""
    written = []
    if own.skeleton is None:
        text = "# Keypoints of your data set. sigmas: how precisely people place them, in object sizes (COCO: eyes .025, hips .107).\n"
        write_text(project / SKELETON_FILE, text + yaml.safe_dump(skeleton_values(own), sort_keys=False, default_flow_style=None))
        written.append(project / SKELETON_FILE)
    if annotation_folder(own) is None:
        for name, files in own.splits.items():
            path = project / "annotations/own" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            if own.made:
                write_text(path, json.dumps(files.content))
            else:
                shutil.copyfile(files.annotations, path)
            written.append(path)
    return written


def annotation_folder(own: OwnData) -> Path | None:
    """The folder of the annotation files, for DVC to watch; None where they must be written, or images lie among them."""
    folders = {files.annotations.parent for files in own.splits.values()}
    if own.made or len(folders) > 1:
        return None
    folder = folders.pop()
    return None if any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.rglob("*")) else folder


def data_section(skeleton: str, sets: Mapping[str, Mapping[str, Yaml]]) -> str:
    """The text of the section ``data``."""
    lines = [
        "# The data sets by name. `annotations` is what the pipeline watches; the files under it are relative to it.",
        "data:", f"  skeleton: {flow(skeleton)}   # the keypoints that the model learns: a name, or a YAML file of your own", "  sets:",
    ]  # fmt: skip
    for name, entry in sets.items():
        lines += [f"    {name}:", *(f"      {key}: {flow(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def shown_in(path: Path, project: Path) -> str:
    """A path as params.yaml names it: relative within the project, absolute elsewhere."""
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)


def _gate(source: str) -> dict[str, Yaml]:
    limits: dict[str, Yaml] = {"mpii": {"pckh": 0.005}, "posetrack": {"posetrack.mota": 0.01, "posetrack.map": 0.01}}
    return {"gate.max_drop": limits[source]} if source in limits else {}
