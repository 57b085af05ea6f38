"""What the files of a stage say: scores, curves, data sets, artifacts. The same for one that ran and for one that DVC restored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from poseline.artifacts import Layout, file_hash, read_json
from poseline.artifacts.freshness import read_record, why_stale
from poseline.config import Params, flatten
from poseline.config.dataset import DETECTIONS
from poseline.config.params import Yaml
from poseline.errors import ArtifactError
from poseline.experiments.lineage import data_entries, read_lock
from poseline.experiments.record import DataSet, RecordFolder, RunRecord

NOT_SCORES = ("schema_version", "protocol")
MODEL_FOLDER = "model_folder/model"
"""Where the folder of a trained model lies among the artifacts of its run."""


def collect(record: RunRecord, folder: RecordFolder, layout: Layout) -> RunRecord:
    """The record with what the stage's files say, copies of the artifacts beside it.

    Raises:
        ArtifactError: a score file cannot be read.
    """
    kind, _, name = record.stage.partition("@")
    stage, execution = folder.files / "stage", folder.files / "execution"
    match kind:
        case "score":
            paths = score_files(layout, name)
            for path in paths:
                _keep(path, stage / "metrics")
                _keep(layout.per_person / path.stem / "matches.parquet", stage / "per_person" / path.stem)
            scores = {**record.metrics, **read_metrics(paths)}
            found = {"headline": read_metrics(paths, headline=True), "metrics": scores, "data": _data(layout, "evaluation")}
        case "train":
            _keep(layout.model, (stage / MODEL_FOLDER).parent)
            found = {"data": _data(layout, "training")}
        case "report":
            _keep(layout.page, execution)
            _keep(layout.page.with_name("model_card.md"), execution)
            return record
        case _:
            return record
    weights = layout.model / "model.safetensors"
    return record.model_copy(update={**found, "weights": file_hash(weights) if weights.is_file() else None})


def kept_headline(params: Params, layout: Layout, stage: str) -> dict[str, float]:
    """The headline of the scores that a stage did not make, of those that are known to be what the parameters and files would make now.

    Raises:
        ArtifactError: a score file cannot be read.
    """
    kind, _, own = stage.partition("@")
    if kind not in ("score", "report"):
        return {}
    from poseline.datasets.scored_sets import list_scores  # no code of other stages, which this module is loaded in, too

    found: dict[str, float] = {}
    for name in dict.fromkeys(entry.dataset for entry in list_scores(params.data).values()):
        paths = score_files(layout, name)
        known = name != own and paths and read_record("score", layout, name)[0] is not None
        if known and why_stale("score", params, layout, name) is None:
            found |= read_metrics(paths, headline=True)
    return found


def score_files(layout: Layout, name: str) -> list[Path]:
    """The score files that a data set has: under ground-truth boxes, and of its detections."""
    return [path for path in (layout.metrics / f"{name}.json", layout.metrics / f"{name}{DETECTIONS}.json") if path.is_file()]


def read_metrics(paths: Sequence[Path], *, headline: bool = False) -> dict[str, float]:
    """Every number of score files as ``<file>.<key>``, for example ``coco.ap``; the protocol is no score.

    Args:
        paths: of the files.
        headline: only those at the top level, by which experiments are compared.

    Raises:
        ArtifactError: a file is missing or no JSON object.
    """
    found: dict[str, float] = {}
    for path in paths:
        tree = {key: value for key, value in read_json(path, made_by="score").items() if key not in NOT_SCORES}
        found |= _numbers(tree if headline else flatten(tree), f"{path.stem}.")
    return found


def read_history(path: Path) -> list[tuple[int, dict[str, float]]]:
    """The training history as (epoch, values under the names of a running training); empty without the file.

    Raises:
        ArtifactError: a line is no JSON object.
    """
    history = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()):
        try:
            row = _numbers(flatten(json.loads(line)), "train.")
        except (json.JSONDecodeError, AttributeError):
            raise ArtifactError(f"{path}: line {number + 1} is no JSON object. Run the train stage again.") from None
        history.append((int(row.pop("train.epoch", number)), row))
    return history


def _numbers(flat: Mapping[str, Yaml], prefix: str) -> dict[str, float]:
    return {prefix + key: float(value) for key, value in flat.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _keep(path: Path, target: Path) -> None:
    """Copy a file or folder into a folder, where it exists."""
    if path.is_dir():
        shutil.copytree(path, target / path.name)
    elif path.is_file():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _data(layout: Layout, context: str) -> tuple[DataSet, ...]:
    """The preprocessed data under DVC's digest; none before DVC has locked it."""
    entry = data_entries(read_lock(layout.root)).get("data/processed")
    return () if entry is None or entry.md5 is None else (DataSet(name=entry.path, digest=entry.md5, context=context),)
