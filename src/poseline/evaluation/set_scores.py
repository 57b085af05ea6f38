"""The score of one data set's predictions as the pipeline leaves them, and the conditions that they were made under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, PoseTable, read_json, read_table
from poseline.config import DatasetConfig, Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco.files import read_detections
from poseline.datasets.predictions import pose_set
from poseline.datasets.protocols import EvaluationProtocol, Found, Truth, load_protocol
from poseline.datasets.read import annotation_path
from poseline.datasets.records import BBOX_COLUMNS
from poseline.datasets.score import Score, Stamp
from poseline.datasets.sets import dataset_config, enabled_benchmarks
from poseline.errors import ArtifactError
from poseline.evaluation.scoring import ScoreFiles, score

DETECTIONS = "_detections"


@dataclass(frozen=True)
class SetScore:
    """A score that the pipeline makes: of which data set, by which protocol, and whether under detected boxes."""

    dataset: str
    protocol: EvaluationProtocol[object, object]
    detected: bool


def list_scores(params: Params) -> dict[str, SetScore]:
    """Every score of the enabled data sets by name, those under ground-truth boxes first."""
    sets = {name: load_protocol(name) for name in enabled_benchmarks(params)}
    plain = {name: SetScore(name, protocol, detected=False) for name, protocol in sets.items()}
    return plain | {
        name + DETECTIONS: SetScore(name, protocol, detected=True)
        for name, protocol in sets.items()
        if not protocol.tracked and dataset_config(params, name).detections
    }


def score_set(params: Params, layout: Layout, name: str) -> ScoreFiles:
    """The score of a data set's predictions under ground-truth boxes, or with a name in ``_detections`` under detected ones.

    It says so where the set is not enabled, or has no detections. Detections in which no pose was found are scored, with AP 0.

    Raises:
        ArtifactError: the predictions are missing or damaged.
        DataError: the ground truth is missing, damaged or of other images.
    """
    dataset, detected = name.removesuffix(DETECTIONS), name.endswith(DETECTIONS)
    config = dataset_config(params, dataset)  # type: ignore[arg-type]
    protocol = load_protocol(dataset)
    about = read_about(layout.tracks if protocol.tracked else layout.predictions / dataset)
    if not about["enabled"] or (detected and config.detections is None):
        return left_out(dataset)
    return _score(protocol, params, layout, dataset, config=config, about=about, boxes="detections" if detected else "ground_truth")


def _score(
    protocol: EvaluationProtocol[Truth, Found],
    params: Params,
    layout: Layout,
    dataset: str,
    *,
    config: DatasetConfig,
    about: Mapping[str, Yaml],
    boxes: str,
) -> ScoreFiles:
    heads = annotation_path(config, config.head_boxes) if config.head_boxes else None
    ground_truth = protocol.read_ground_truth(annotation_path(config, config.val.annotations), head_boxes=heads)
    if protocol.tracked:
        boxes = str(about["boxes"])
        predictions = protocol.read_predictions(layout.tracks, ground_truth)
    else:
        predictions = protocol.from_poses(read_predictions(layout.predictions / dataset).where(boxes=boxes), ground_truth)
    stamp = stamp_conditions(protocol.name, params, about, boxes=boxes).model_copy(
        update={
            "data_hash": ground_truth_hash(layout, dataset),
            "box_ap": rate_detections(protocol, ground_truth, config) if boxes == "detections" and not protocol.tracked else None,
        }
    )
    files = score(protocol, ground_truth, predictions, params.score, stamp=stamp, seed=params.seed)
    return replace(files, source_hash=str(about.get("model_hash", "")))


def read_predictions(folder: Path) -> PoseTable:
    """The poses of a set."""
    rows, header = read_table(folder / "poses.parquet", kind="predictions", made_by=f"predict {folder.name}")
    poses = pose_set(rows, load_skeleton(header.skeleton).num_keypoints)
    return PoseTable(rows.drop(columns=["keypoints", "keypoint_scores"]), poses)


def rate_detections(protocol: EvaluationProtocol[Truth, Found], ground_truth: Truth, config: DatasetConfig) -> float | None:
    """Box AP of the detections file, all its boxes: a property of the detector, not of the poses that were kept of it."""
    if config.detections is None:
        return None
    table = read_detections(annotation_path(config, config.detections))
    boxes, scores = table[list(BBOX_COLUMNS)].to_numpy(np.float32), table["score"].to_numpy(np.float64)
    return protocol.rate_boxes(ground_truth, table["image_id"].to_numpy(np.int64), boxes, scores)


def stamp_conditions(benchmark: str, params: Params, about: Mapping[str, Yaml], *, boxes: str) -> Stamp:
    """The conditions of predictions, from what their folder says of itself."""
    nms = "none" if boxes == "ground_truth" else str(about["nms"])
    return Stamp.model_validate(
        {
            "benchmark": benchmark,
            "boxes": boxes,
            "flip": about["flip"],
            "input_wh": about["input_wh"],
            "codec": about["codec"],
            "nms": f"parametric-{params.predict.nms.mode}" if nms == "parametric" else nms,
            "rescoring": about["score"],
            "tracker": about.get("tracker"),
        }
    )


def read_about(folder: Path) -> dict[str, Yaml]:
    """What a folder of predictions or tracks says of itself.

    Raises:
        ArtifactError: missing or damaged.
    """
    about = read_json(folder / "about.json", made_by="predict")
    if "enabled" not in about:
        raise ArtifactError(f"{folder / 'about.json'}: lacks 'enabled'. Run `poseline predict` again.")
    return about


def ground_truth_hash(layout: Layout, dataset: str) -> str:
    """Hash of a set's val annotations, as the validation's manifest has it."""
    manifest = read_json(layout.validated / "manifest.json", made_by="validate")
    entry = manifest.get(f"{dataset}/val")
    if not isinstance(entry, dict):
        raise ArtifactError(f"{layout.validated / 'manifest.json'}: lacks '{dataset}/val'. Run `poseline validate` again.")
    return str(entry["annotations_sha256"])[:16]


def left_out(dataset: str) -> ScoreFiles:
    """The files of a set that the parameters leave out."""
    people = pd.DataFrame({"image_id": pd.Series(dtype="int64")})
    return ScoreFiles(Score(protocol=Stamp(benchmark=dataset), enabled=False), people, None, [])
