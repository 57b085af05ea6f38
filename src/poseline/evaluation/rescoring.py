"""Fit the OKS to be expected of a pose to the trained network's predictions of some training people; never of val."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from poseline.artifacts import Layout, read_table, write_json
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco.scoring_files import read_ground_truth
from poseline.datasets.predictions import truth_boxes
from poseline.datasets.read import annotation_path
from poseline.datasets.sets import dataset_config
from poseline.errors import ConfigError, DataError
from poseline.evaluation.coco_score import to_results
from poseline.evaluation.expected_oks import compare_rescoring, fit_expected_oks
from poseline.infer.estimator import estimate_boxes
from poseline.infer.expected_oks import ExpectedOks
from poseline.infer.runtime import load_estimator
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth
from poseline.models.device import resolve_device
from poseline.stages.predict import calibration_terms, convert_predictions, rescore, settle_rule


def run(params: Params, layout: Layout, device: str, *, share: float = 0.2) -> dict[str, float]:
    """Write ``predict.calibration``; AP before and after, on the people it was fitted to and on val's predictions where they exist.

    Args:
        params: data, predict and seed.
        layout: where people, model and predictions lie.
        device: to predict on.
        share: of COCO's training images, drawn by the seed.

    Raises:
        ConfigError: COCO is not enabled.
        DataError: too few people to learn from.
    """
    config = dataset_config(params, "coco")
    if not config.enabled:
        raise ConfigError("data.coco.enabled: false, but expected-OKS rescoring is fitted to COCO's training people. Enable it.")
    skeleton = load_skeleton("coco17")
    table, _ = read_table(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    people = table[(table["dataset"] == "coco") & (table["split"] == "train")]
    images = np.sort(people["image_id"].unique())
    chosen = np.random.default_rng(params.seed).permutation(images)[: max(1, round(share * len(images)))]
    boxes = truth_boxes(people[people["image_id"].isin(chosen)])
    if not len(boxes):
        raise DataError(f"calibrate: no labelled person among {len(chosen)} training images. Give a larger --share.")
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    params = settle_rule(params, estimator.saved)
    rows = convert_predictions(estimate_boxes(estimator, boxes, score=params.predict.rule), estimator.skeleton, skeleton, params.predict)
    ground_truth = read_ground_truth(annotation_path(config, config.train.annotations))
    predictions = to_results(rows, ground_truth, skeleton)
    model = fit_expected_oks(ground_truth, predictions)
    content = {**calibration_terms(params, layout), "num_people": len(rows), **cast("dict[str, Yaml]", model.to_dict())}
    write_json(Path(params.predict.calibration), content)
    # Nobody in the other training images is asked for.
    asked = ground_truth.image_ids[ground_truth.image_index]
    part = _only(ground_truth, np.isin(asked, chosen))
    before, after = compare_rescoring(part, predictions, model)
    measured = {"people": float(len(rows)), "train_before": before, "train_after": after, **_judge_val(params, layout, model)}
    return {name: value for name, value in measured.items() if value is not None}


def _only(ground_truth: GroundTruth, kept: np.ndarray) -> GroundTruth:
    """The ground truth with the other people ignored."""
    return replace(ground_truth, num_keypoints=np.where(kept, ground_truth.num_keypoints, 0))


def _judge_val(params: Params, layout: Layout, model: ExpectedOks) -> dict[str, float | None]:
    """AP of the present val predictions before and after, by kind of boxes."""
    path = layout.predictions / "coco/poses.parquet"
    if not path.is_file():
        return {}
    config = dataset_config(params, "coco")
    poses, header = read_table(path, kind="predictions", made_by="predict coco")
    ground_truth = read_ground_truth(annotation_path(config, config.val.annotations))
    found: dict[str, float | None] = {}
    for boxes, rows in poses.groupby("boxes"):
        for name, table in (("before", rows), ("after", rescore(rows, model, params.predict))):
            predictions = to_results(table, ground_truth, load_skeleton(header.skeleton))
            found[f"val_{boxes}_{name}"] = score_coco(ground_truth, predictions).metrics["ap"]
    return found
