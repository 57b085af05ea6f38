"""What the numbers were made from: parameters, data, weights, and the commands that make them again.

Commit, time and versions stand in the experiment store, beside the run of these weights: on a page that DVC and git track they would make
every repetition a change.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import cast

from poseline.config.params import Yaml
from poseline.experiments.lineage import WEIGHTS, masked
from poseline.report.inputs import Json, ReportFiles


def describe_origin(files: ReportFiles, *, params_hash: str) -> list[tuple[str, str]]:
    """(label, value) of everything that the results came from.

    Args:
        files: what earlier stages wrote.
        params_hash: of the parameters.
    """
    model = cast("Json", files.model["model"])
    codec = cast("Json", files.model["codec"])
    width, height = cast("list[int]", model["input_wh"])
    weights = str(files.model.get("weights_hash", "unknown"))
    return [
        ("parameters", params_hash),
        ("training data", str(files.model.get("data_hash") or "unknown")),
        ("weights", weights),
        ("network", f"{model['kind']}, {model.get('backbone', '')}, input {width} \u00d7 {height} px, codec {codec['kind']}"),
        ("weights' size", f"{files.num_weights / 1e6:.2f} million numbers" if files.num_weights is not None else "unknown"),
        ("skeleton", str(files.model["skeleton"])),
        ("commit and versions", f"in the MLflow run with the tag {WEIGHTS} = {weights}, and in the commit that holds this dvc.lock"),
    ]


def list_commands(*, store: str) -> list[tuple[str, str]]:
    """(command, what it does) to make the results again; ``store`` is the experiment store's address."""
    return [
        ("git log -1 dvc.lock", "the commit whose code and parameters made this page"),
        ("make repro", "environment, data, training, prediction, scores, tracks and this page; only what changed runs"),
        ("dvc metrics show", "the scores on the command line"),
        ("poseline gate", "compare COCO AP with the committed baseline"),
        (f"mlflow ui --backend-store-uri {shlex.quote(masked(store))}", "every run beside the others"),
    ]


def flat_config(sections: Mapping[str, Yaml]) -> list[tuple[str, str]]:
    """(section, its values in one line) of the parameters."""
    return [(name, _line(value)) for name, value in sections.items()]


def _line(value: Yaml) -> str:
    if isinstance(value, dict):
        inner = {key: f"{{{_line(entry)}}}" if isinstance(entry, dict) else _line(entry) for key, entry in value.items()}
        return ", ".join(f"{key}: {text}" for key, text in inner.items())
    if isinstance(value, list):
        return f"[{', '.join(_line(item) for item in value)}]"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
