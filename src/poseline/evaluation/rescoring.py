"""Fit the OKS to be expected of a pose to the trained network's predictions of some training people; never of val."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from poseline.artifacts import Layout, read_poses, write_json
from poseline.codecs.scores import ScoreRule
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.boxes import ground_truth_boxes
from poseline.datasets.coco.scoring_files import read_truth
from poseline.datasets.sets import dataset_config, split_files
from poseline.errors import ConfigError, DataError
from poseline.evaluation.calibration import compare_rescoring, fit_expected_oks
from poseline.evaluation.coco_score import to_results
from poseline.infer.estimator import estimate_boxes
from poseline.infer.expected_oks import ExpectedOks
from poseline.infer.predict import convert_predictions
from poseline.infer.rescoring import calibration_terms, rescore
from poseline.infer.runtime import load_estimator
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import CocoTruth
from poseline.models.device import resolve_device


def run(params: Params, layout: Layout, device: str, *, share: float = 0.2) -> dict[str, float]:
    """Write ``predict.calibration``; AP before and after, on the people it was fitted to and on val's predictions where they exist.

    Args:
        params: data, predict and seed.
        layout: where people, model and predictions lie.
        device: to predict on.
        share: of COCO's training pictures, drawn by the seed.

    Raises:
        ConfigError: COCO is not enabled.
        DataError: too few people to learn from.
    """
    config = dataset_config(params.data, "coco")
    if not config.enabled:
        raise ConfigError("data.coco.enabled: false, but expected-OKS rescoring is fitted to COCO's training people. Enable it.")
    skeleton = load_skeleton("coco17")
    table, _ = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    people = table.where(dataset="coco", split="train")
    pictures = np.sort(people.rows["image_id"].unique())
    chosen = np.random.default_rng(params.seed).permutation(pictures)[: max(1, round(share * len(pictures)))]
    boxes = ground_truth_boxes(people.select(people.rows["image_id"].isin(chosen)))
    if not len(boxes):
        raise DataError(f"calibrate: no labelled person among {len(chosen)} training pictures. Give a larger --share.")
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    rows = convert_predictions(estimate_boxes(estimator, boxes), estimator.skeleton, skeleton, estimator.score)
    truth = read_truth(split_files(config, "train", name="coco")[1])
    results = to_results(rows.rows["image_id"], rows.poses, truth)
    model = fit_expected_oks(truth, results)
    terms = calibration_terms(params.predict, layout, estimator.score)
    write_json(Path(params.predict.calibration), {**terms, "num_people": len(rows), **cast("dict[str, Yaml]", model.to_dict())})
    # Nobody in the other training pictures is asked for.
    asked = truth.image_ids[truth.image_index]
    part = _only(truth, np.isin(asked, chosen))
    before, after = compare_rescoring(part, results, model)
    measured = {"people": float(len(rows)), "train_before": before, "train_after": after}
    measured |= _judge_val(params, layout, model, estimator.score)
    return {name: value for name, value in measured.items() if value is not None}


def _only(truth: CocoTruth, kept: np.ndarray) -> CocoTruth:
    """The truth with the other people ignored."""
    return replace(truth, num_keypoints=np.where(kept, truth.num_keypoints, 0))


def _judge_val(params: Params, layout: Layout, model: ExpectedOks, rule: ScoreRule) -> dict[str, float | None]:
    """AP of the present val predictions before and after, by kind of boxes."""
    path = layout.predictions / "coco/poses.parquet"
    if not path.is_file():
        return {}
    config = dataset_config(params.data, "coco")
    poses, _ = read_poses(path, kind="predictions", made_by="predict coco")
    truth = read_truth(split_files(config, "val", name="coco")[1])
    found: dict[str, float | None] = {}
    for boxes, part in poses.groups("boxes"):
        for name, found_poses in (("before", part.poses), ("after", rescore(part.poses, model, rule))):
            results = to_results(part.rows["image_id"], found_poses, truth)
            found[f"val_{boxes}_{name}"] = score_coco(truth, results).metrics["ap"]
    return found
