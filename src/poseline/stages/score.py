"""Stage score: one benchmark's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from typing import Literal

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.evaluation import coco_score as score_coco
from poseline.evaluation import mpii_score as score_mpii
from poseline.evaluation import posetrack_score as score_posetrack
from poseline.evaluation.scores import ScoreFiles, headline, read_about, write_scores

ScoreName = Literal["coco", "coco_detections", "mpii", "posetrack"]


def run(params: Params, layout: Layout, name: ScoreName) -> dict[str, float]:
    """Write reports/metrics/<name>.json, reports/per_person/<name> and reports/plots/<name>.json; the headline numbers."""
    scores = compute(params, layout, name)
    source = "tracks" if name == "posetrack" else f"predictions/{name.split('_')[0]}"
    about = read_about(layout, source, made_by="predict")
    write_scores(layout, name, scores, source_hash=str(about.get("model_hash", "")))
    return headline(scores.metrics)


def compute(params: Params, layout: Layout, name: ScoreName) -> ScoreFiles:
    """The score of that name."""
    match name:
        case "coco":
            return score_coco.score(params, layout, "ground_truth")
        case "coco_detections":
            return score_coco.score(params, layout, "detections")
        case "mpii":
            return score_mpii.score(params, layout)
        case "posetrack":
            return score_posetrack.score(params, layout)
