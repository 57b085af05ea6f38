"""Fit the OKS to be expected of a pose to the trained network's predictions of some training people; never of val."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from poseline.artifacts import Layout, PoseTable, read_poses, write_json
from poseline.codecs.scores import ScoreRule
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.boxes import ground_truth_boxes
from poseline.datasets.coco.evaluate import Coco
from poseline.datasets.sets import dataset_config, split_files
from poseline.errors import ConfigError, DataError
from poseline.evaluation.expected_oks import compare_rescoring, fit_expected_oks
from poseline.infer.estimator import estimate_boxes
from poseline.infer.expected_oks import ExpectedOks
from poseline.infer.predict import convert_predictions
from poseline.infer.rescoring import calibration_terms, rescore
from poseline.infer.runtime import load_estimator
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth
from poseline.models.device import resolve_device
from poseline.project import located


def run(params: Params, layout: Layout, device: str, *, fraction: float = 0.2) -> dict[str, float]:
    """Write ``predict.calibration``; AP before and after, on the people it was fitted to and on val's predictions where they exist.

    Args:
        params: data, predict and seed.
        layout: where people, model and predictions lie.
        device: to predict on.
        fraction: of COCO's training images, drawn by the seed.

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
    images = np.sort(people.rows["image_id"].unique())
    chosen = np.random.default_rng(params.seed).permutation(images)[: max(1, round(fraction * len(images)))]
    boxes = ground_truth_boxes(people.select(people.rows["image_id"].isin(chosen)))
    if not len(boxes):
        raise DataError(f"calibrate: no labelled person among {len(chosen)} training images. Give a larger --fraction.")
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    rows = convert_predictions(estimate_boxes(estimator, boxes), estimator.skeleton, skeleton, estimator.score)
    ground_truth = Coco().read_ground_truth(split_files(config, "train", name="coco")[1])
    predictions = Coco().from_poses(rows, ground_truth)
    model = fit_expected_oks(ground_truth, predictions)
    terms = calibration_terms(params.predict, layout, estimator.score)
    write_json(located(params.predict.calibration), {**terms, "num_people": len(rows), **cast("dict[str, Yaml]", model.to_dict())})
    # People in the other training images do not count.
    own = ground_truth.image_ids[ground_truth.image_index]
    part = _only(ground_truth, np.isin(own, chosen))
    before, after = compare_rescoring(part, predictions, model)
    measured = {"people": float(len(rows)), "train_before": before, "train_after": after}
    measured |= _score_val(params, layout, model, estimator.score)
    return {name: value for name, value in measured.items() if value is not None}


def _only(ground_truth: GroundTruth, kept: np.ndarray) -> GroundTruth:
    """The ground truth with the other people ignored."""
    return replace(ground_truth, num_keypoints=np.where(kept, ground_truth.num_keypoints, 0))


def _score_val(params: Params, layout: Layout, model: ExpectedOks, rule: ScoreRule) -> dict[str, float | None]:
    """AP of the present val predictions before and after, by kind of boxes."""
    path = layout.predictions / "coco/poses.parquet"
    if not path.is_file():
        return {}
    config = dataset_config(params.data, "coco")
    poses, _ = read_poses(path, kind="predictions", made_by="predict coco")
    ground_truth = Coco().read_ground_truth(split_files(config, "val", name="coco")[1])
    found: dict[str, float | None] = {}
    for boxes, part in poses.groups("boxes"):
        rescored = PoseTable(part.rows, rescore(part.poses, model, rule))
        for name, table in (("before", part), ("after", rescored)):
            found[f"val_{boxes}_{name}"] = score_coco(ground_truth, Coco().from_poses(table, ground_truth)).metrics["ap"]
    return found
