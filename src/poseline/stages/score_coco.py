"""COCO keypoint AP of the pipeline's predictions, under ground-truth boxes or under detections."""

from __future__ import annotations

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, read_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.data.predictions import BoxSource, pose_set
from poseline.data.read import annotation_path
from poseline.metrics.bootstrap import bootstrap_ap
from poseline.metrics.coco_ap import score_coco
from poseline.metrics.coco_files import read_truth
from poseline.metrics.coco_types import CocoResults, CocoScore, CocoTruth
from poseline.metrics.slices import keypoint_ap, person_oks
from poseline.stages.datasets import dataset_config
from poseline.stages.scores import ScoreFiles, read_about


def score(params: Params, layout: Layout, boxes: BoxSource) -> ScoreFiles | None:
    """The score of the predictions under one kind of boxes; None where there are none of that kind."""
    config = dataset_config(params, "coco", layout)
    about = read_about(layout, "predictions/coco", made_by="predict coco")
    if not about["enabled"]:
        return None
    table, header = read_table(layout.predictions / "coco/poses.parquet", kind="predictions", made_by="predict coco")
    rows = table[table["boxes"] == boxes]
    if not len(rows):
        return None
    truth = read_truth(annotation_path(config, config.val.annotations))
    results = to_results(rows, truth, load_skeleton(header.skeleton).num_keypoints)
    found = score_coco(truth, results, engine=params.score.engine)
    metrics: dict[str, Yaml] = dict(found.metrics)
    if params.score.bootstrap:
        low, high = bootstrap_ap(found, resamples=params.score.bootstrap, seed=params.seed)
        metrics["ap_interval"] = [low, high]
    names = load_skeleton(header.skeleton).keypoints
    metrics["keypoint_ap"] = dict(zip(names, keypoint_ap(truth, results), strict=True))
    metrics["protocol"] = stamp(params, about, boxes, truth)
    return ScoreFiles(metrics, person_oks(truth, results, found), pr_rows(found))
