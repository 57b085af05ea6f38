"""Stage score: one data set's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.config.dataset import DETECTIONS
from poseline.datasets.sets import dataset_config
from poseline.evaluation import coco_score, mpii_score, posetrack_score
from poseline.evaluation.scores import ScoreFiles, headline, not_enabled, read_about, write_scores


def run(params: Params, layout: Layout, name: str) -> dict[str, float]:
    """Write reports/metrics/NAME.json, reports/per_person/NAME, reports/plots/NAME.json, and NAME_detections likewise; headline numbers."""
    source = "tracks" if dataset_config(params.data, name).format == "posetrack" else "predictions"
    about = read_about(layout, f"{source}/{name}", made_by="predict")
    found: dict[str, float] = {}
    for key, scores in compute(params, layout, name).items():
        write_scores(layout, key, scores, source_hash=str(about.get("model_hash", "")))
        prefix = "" if key == name else "detections_"
        found |= {prefix + metric: value for metric, value in headline(scores.metrics).items()}
    return found


def compute(params: Params, layout: Layout, name: str) -> dict[str, ScoreFiles]:
    """The scores of a set under ground-truth boxes, and of its detections."""
    match dataset_config(params.data, name).format:
        case "mpii":
            return {name: mpii_score.score(params, layout, name), name + DETECTIONS: not_enabled(name)}
        case "posetrack":
            return {name: posetrack_score.score(params, layout, name), name + DETECTIONS: not_enabled(name)}
        case _:
            return {
                name: coco_score.score(params, layout, name, "ground_truth"),
                name + DETECTIONS: coco_score.score(params, layout, name, "detections"),
            }
