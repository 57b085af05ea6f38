"""Score files as metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from poseline.config import flatten
from poseline.config.params import Yaml
from poseline.errors import ArtifactError

NOT_SCORES = ("schema_version", "protocol")


def report_metrics(path: Path) -> dict[str, float]:
    """Every number of a score file as ``<file>.<key>``, for example ``coco.ap``; the protocol is no score.

    Raises:
        ArtifactError: the file is missing or no JSON object.
    """
    flat = flatten({key: value for key, value in _read(path).items() if key not in NOT_SCORES})
    return {f"{path.stem}.{key}": value for key, value in _numbers(flat).items()}


def headline_metrics(path: Path) -> dict[str, float]:
    """The numbers at the top level of a score file: those by which experiments are compared.

    Raises:
        ArtifactError: the file is missing or no JSON object.
    """
    return {f"{path.stem}.{key}": value for key, value in _numbers(_read(path)).items() if key not in NOT_SCORES}


def read_history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """The learning curves as (step, values): one JSON object a line, its step under ``step`` or ``epoch``. Empty without the file.

    Raises:
        ArtifactError: a line is no JSON object.
    """
    if not path.is_file():
        return []
    curve = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        try:
            record = flatten(json.loads(line))
        except (json.JSONDecodeError, AttributeError):
            raise ArtifactError(f"{path}: line {number + 1} is no JSON object. Run the train stage again.") from None
        values = _numbers(record)
        curve.append((int(values.get("step", values.get("epoch", number))), {key: value for key, value in values.items() if key != "step"}))
    return curve


def _read(path: Path) -> dict[str, Yaml]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: not a readable score file ({error}). Run the score stage again.") from None
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path}: expected a JSON object, got {type(raw).__name__}. Run the score stage again.")
    return raw


def _numbers(flat: Mapping[str, Yaml]) -> dict[str, float]:
    return {key: float(value) for key, value in flat.items() if isinstance(value, int | float) and not isinstance(value, bool)}
