"""The data, the model and its limits in words, for the page and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from poseline.config import Params
from poseline.config.params import Yaml
from poseline.datasets.sets import training_sets
from poseline.report.inputs import Json, ReportFiles


def describe_data(files: ReportFiles) -> dict[str, object]:
    """Counts of checks, a line for each that did not pass, and the size of each split."""
    summary = cast("Mapping[str, int]", files.findings["summary"])
    results = cast("list[dict[str, Yaml]]", files.findings["results"])
    lines = [
        {"severity": "error" if entry["status"] == "crashed" else entry["severity"], "text": describe_finding(entry)}
        for entry in results
        if entry["status"] != "passed"
    ]
    splits = [
        {
            "name": name.replace("/", " "),
            "images": f"{entry['num_images']:,}".replace(",", "\u202f"),
            "people": f"{entry['num_labelled_people']:,}".replace(",", "\u202f"),
            "keypoints": f"{entry['num_keypoints']:,}".replace(",", "\u202f"),
        }
        for name, entry in cast("dict[str, dict[str, int]]", files.manifest).items()
        if "/" in name
    ]
    counts = {key: summary[key] for key in ("checks", "passed", "errors", "warnings", "valid")}
    return {**counts, "lines": lines, "splits": splits}


def describe_finding(entry: Mapping[str, Yaml]) -> str:
    """One check that did not pass, in one line."""
    where = f"{entry['dataset']} {entry['split']}"
    if entry["status"] == "crashed":
        return f"{where}: {entry['check']} could not be made: {entry['message']}"
    text = f"{where}: {entry['unexpected']} of {entry['evaluated']} against: {entry['description']}"
    ids = cast("list[int]", entry["ids"])
    return text + (f" ({entry['id_column']} {', '.join(str(i) for i in ids[:5])}{', …' if len(ids) > 5 else ''})" if ids else "")


def describe_model(files: ReportFiles, *, params_hash: str) -> list[tuple[str, str]]:
    """(label, value) of the model."""
    model, codec = cast("Json", files.model["model"]), cast("Json", files.model["codec"])
    width, height = cast("list[int]", model["input_wh"])
    keypoints = cast("Mapping[str, list[Yaml]]", files.model["keypoints"])["keypoints"]
    return [
        ("network", f"{model['kind']}, {model.get('backbone', '')}"),
        ("input", f"{width} \u00d7 {height} px crop of one person, RGB"),
        ("output", f"{len(keypoints)} keypoints ({files.model['skeleton']}), codec {codec['kind']}"),
        ("size", f"{files.num_weights / 1e6:.2f} million numbers" if files.num_weights is not None else "unknown"),
        ("weights", f"`data/model/model.safetensors`, hash {files.model.get('weights_hash', 'unknown')}"),
        ("training data", f"hash {files.model.get('data_hash') or 'unknown'}"),
        ("parameters", f"hash {params_hash}"),
    ]


def uses_mini(params: Params) -> bool:
    """Whether any benchmark in use is the embedded, drawn data."""
    return any(section.enabled and "data/mini" in section.annotations.as_posix() for section in params.data.sets.values())


def data_note(params: Params) -> str:
    """What the model learned from."""
    sets = ", ".join(training_sets(params.data, params.train.sets))
    if uses_mini(params):
        return (
            f"Trained on the train splits of {sets} as poseline's `mini` draws them: synthetic people, posed as a 3D skeleton, projected "
            f"and drawn from seed {params.mini.seed} in the benchmarks' file formats. No photograph and no real person is in it, and its "
            "detections come from a simulated detector. Scores on it say nothing about the benchmarks' own images."
        )
    return f"Trained on the train splits of {sets}, as params.yaml names their files. They have licences and biases of their own."


def list_limits(params: Params, files: ReportFiles) -> list[str]:
    """What the model cannot do or was not shown to do."""
    limits = [
        "One person a crop: it needs a box for each person, and its results are as good as the boxes.",
        "It returns every keypoint, also of parts that are hidden or outside the image; look at the keypoint scores, "
        "which are not calibrated probabilities.",
        "How it works for people of different appearance, age, clothing or aids such as wheelchairs was not measured.",
    ]
    if uses_mini(params):
        limits.insert(0, "Trained on drawn people: on photographs it has to be fine-tuned and scored first.")
    if files.tracks:
        limits.append("Track ids hold within one video; no person is recognised over videos.")
    return limits
