"""What the numbers were made from: commit, parameters, data, weights, versions, and the commands that make them again."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from poseline.config.params import Yaml
from poseline.experiments.lineage import git_output, masked
from poseline.report.inputs import Json, ReportFiles

PACKAGES = ("poseline", "torch", "torchvision", "numpy", "opencv-python-headless", "pandas", "pycocotools", "dvc", "mlflow")


def describe_origin(files: ReportFiles, tags: Mapping[str, str], *, name: str, root: Path) -> list[tuple[str, str]]:
    """(label, value) of everything that the results came from.

    Args:
        files: what earlier stages wrote.
        tags: of the execution, as the experiment store has them.
        name: of the execution.
        root: the tree, for the commit's date.
    """
    commit = tags.get("mlflow.source.git.commit")
    date = git_output(root, "show", "-s", "--format=%cs", commit) if commit else None
    model = cast("Json", files.model["model"])
    codec = cast("Json", files.model["codec"])
    width, height = cast("list[int]", model["input_wh"])
    rows = [
        ("commit", f"{commit} ({date})" if commit else "not under git"),
        ("uncommitted changes", {"true": "yes", "false": "no"}.get(tags.get("poseline.dirty", ""), "unknown") if commit else "unknown"),
        ("experiment", tags.get("dvc.exp") or "none (the workspace)"),
        ("parameters", tags.get("poseline.params_hash", "unknown")),
        ("data", tags.get("poseline.data_hash") or "not locked by DVC yet"),
        ("training data", str(files.model.get("data_hash") or "unknown")),
        ("weights", str(files.model.get("weights_hash", "unknown"))),
        ("network", f"{model['kind']}, {model.get('backbone', '')}, input {width} \u00d7 {height} px, codec {codec['kind']}"),
        ("weights' size", f"{files.num_weights / 1e6:.2f} million numbers" if files.num_weights is not None else "unknown"),
        ("skeleton", str(files.model["skeleton"])),
        ("MLflow", f'run "{name}", tag poseline.key = {tags["poseline.key"]}' if "poseline.key" in tags else "unknown"),
    ]
    return [*rows, ("versions", describe_versions())]


def describe_versions(packages: Sequence[str] = PACKAGES) -> str:
    """Python's and the packages' versions in one line; those not installed are left out."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def list_commands(tags: Mapping[str, str], *, store: str) -> list[tuple[str, str]]:
    """(command, what it does) to make the results again; ``store`` is the experiment store's address."""
    commit = tags.get("mlflow.source.git.commit")
    commands = [(f"git checkout {commit}", "the code and parameters of this page")] if commit else []
    return [
        *commands,
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
