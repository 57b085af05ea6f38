"""The scores of a data set's predictions as the pipeline leaves them, and the conditions that they were made under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS, Layout, hash_path, read_json, read_poses
from poseline.artifacts.freshness import OnStale, made_from, refuse_stale
from poseline.config import DatasetConfig, Params
from poseline.config.dataset import DETECTIONS
from poseline.config.params import Yaml
from poseline.datasets.coco_format import read_detections
from poseline.datasets.protocols import EvaluationProtocol, Found, Truth
from poseline.datasets.score import Score, Stamp
from poseline.datasets.scored_sets import set_protocol
from poseline.datasets.sets import annotation_path, dataset_config, split_files
from poseline.errors import ArtifactError
from poseline.evaluation.scoring import ScoreFiles, score


def score_set(params: Params, layout: Layout, name: str, *, on_stale: OnStale = "ignore") -> dict[str, ScoreFiles]:
    """A data set's score under ground-truth boxes (of tracked videos, their tracks'), and with ``_detections`` that under detected ones.

    A score says so where the set is not enabled or has no detections. Detections in which no pose was found are scored, with AP 0.

    Raises:
        ArtifactError: the predictions are missing or damaged.
        StaleError: they were made by other parameters or files than those of now, and that is to be refused.
        DataError: the ground truth is missing, damaged or of other images.
    """
    config = dataset_config(params.data, name)
    protocol = set_protocol(config, name=name)
    folder = (layout.tracks if protocol.tracked else layout.predictions) / name
    about = read_about(folder, made_by=f"{'track' if protocol.tracked else 'predict'} {name}")
    stale = refuse_stale("track" if protocol.tracked else "predict", params, layout, name, on_stale=on_stale)
    made = {name: left_out(protocol.name), name + DETECTIONS: left_out(protocol.name)}
    if about["enabled"]:
        detected = bool(config.detections) and not protocol.tracked
        source = folder / ("tracks.parquet" if protocol.tracked else "poses.parquet")
        files = [source, split_files(config, "val", name=name)[1]]
        origin: dict[str, object] = {"stale": stale, "made_from": made_from("score", params, layout, files, name=name)}
        found = _score(protocol, params, folder, name, config=config, about=about, detected=detected)
        made |= {key: replace(entry, score=entry.score.stamped(**origin)) for key, entry in found.items()}
    return made


def _score(
    protocol: EvaluationProtocol[Truth, Found],
    params: Params,
    folder: Path,
    name: str,
    *,
    config: DatasetConfig,
    about: Mapping[str, Yaml],
    detected: bool,
) -> dict[str, ScoreFiles]:
    path = split_files(config, "val", name=name)[1]
    heads = annotation_path(config, config.head_boxes) if config.head_boxes else None
    ground_truth = protocol.read_ground_truth(path, head_boxes=heads)
    if protocol.tracked:
        submitted = {name: (str(about["boxes"]), protocol.read_predictions(folder, ground_truth))}
    else:
        table, _ = read_poses(folder / "poses.parquet", kind="predictions", made_by=f"predict {name}")
        kinds = {name: "ground_truth", name + DETECTIONS: "detections"} if detected else {name: "ground_truth"}
        submitted = {key: (boxes, protocol.from_poses(table.where(boxes=boxes), ground_truth)) for key, boxes in kinds.items()}
    made = {}
    for key, (boxes, predictions) in submitted.items():
        conditions = stamp_conditions(protocol.name, about, boxes=boxes)
        box_ap = rate_detections(protocol, ground_truth, config) if key != name else None
        stamp = conditions.model_copy(update={"data_hash": hash_path(path)[:16], "box_ap": box_ap})
        files = score(protocol, ground_truth, predictions, params.score, stamp=stamp, seed=params.seed)
        made[key] = replace(files, source_hash=str(about.get("model_hash", "")))
    return made


def rate_detections(protocol: EvaluationProtocol[Truth, Found], ground_truth: Truth, config: DatasetConfig) -> float | None:
    """Box AP of the detections file, all its boxes: a property of the detector, not of the poses that were kept of it."""
    if config.detections is None:
        return None
    table = read_detections(annotation_path(config, config.detections))
    boxes, scores = table[list(BBOX_COLUMNS)].to_numpy(np.float32), table["score"].to_numpy(np.float64)
    return protocol.rate_boxes(ground_truth, table["image_id"].to_numpy(np.int64), boxes, scores)


def stamp_conditions(benchmark: str, about: Mapping[str, Yaml], *, boxes: str) -> Stamp:
    """The conditions of predictions, from what their folder says of itself."""
    nms = "none" if boxes == "ground_truth" else str(about["nms"])
    return Stamp.model_validate(
        {
            "benchmark": benchmark,
            "boxes": boxes,
            "flip": about["flip"],
            "input_wh": about["input_wh"],
            "codec": about["codec"],
            "nms": f"parametric-{about['nms_mode']}" if nms == "parametric" else nms,
            "rescoring": about["score"],
            "tracker": about.get("tracker"),
            "weights": about.get("model_hash"),
        }
    )


def read_about(folder: Path, *, made_by: str) -> dict[str, Yaml]:
    """What a folder of predictions or tracks says of itself.

    Raises:
        ArtifactError: missing or damaged.
    """
    about = read_json(folder / "about.json", made_by=made_by)
    if "enabled" not in about:
        raise ArtifactError(f"{folder / 'about.json'}: lacks 'enabled'. Run `poseline {made_by}` again.")
    return about


def left_out(benchmark: str) -> ScoreFiles:
    """The files of a score that the parameters leave out."""
    people = pd.DataFrame({"image_id": pd.Series(dtype="int64")})
    return ScoreFiles(Score(protocol=Stamp(benchmark=benchmark), enabled=False), people, None, [])
