"""COCO keypoint AP of the pipeline's predictions, under ground-truth boxes or under detections."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS, Layout, read_poses
from poseline.config import DatasetConfig, Params
from poseline.config.params import Yaml
from poseline.core.boxes import xyxy_to_xywh
from poseline.core.poses import PoseSet
from poseline.core.similarity import oks_pairs
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.boxes import BoxSource
from poseline.datasets.coco.scoring_files import read_truth
from poseline.datasets.coco_format import read_detections
from poseline.datasets.sets import annotation_path, dataset_config, split_files
from poseline.evaluation.bootstrap import bootstrap_ap
from poseline.evaluation.diagnosis import diagnose_results
from poseline.evaluation.match_tables import matches_to_frame
from poseline.evaluation.scores import ScoreFiles, not_enabled, read_about, stamp, truth_hash
from poseline.evaluation.slices import match_slices, score_keypoints, score_slices
from poseline.metrics.box_ap import score_boxes
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import RECALL_POINTS, CocoResults, CocoScore, CocoTruth


def score(params: Params, layout: Layout, name: str, boxes: BoxSource) -> ScoreFiles:
    """The score of the predictions under one kind of boxes; says so where the benchmark has none of that kind.

    Detections in which no pose was found are scored, with AP 0.
    """
    config = dataset_config(params.data, name)
    about = read_about(layout, f"predictions/{name}", made_by=f"predict {name}")
    if not about["enabled"] or (boxes == "detections" and config.detections is None):
        return not_enabled("coco")
    table, header = read_poses(layout.predictions / name / "poses.parquet", kind="predictions", made_by=f"predict {name}")
    found_poses = table.where(boxes=boxes)
    skeleton = load_skeleton(header.skeleton)
    truth = read_truth(split_files(config, "val", name=name)[1])
    results = to_results(found_poses.rows["image_id"], found_poses.poses, truth)
    found = score_coco(truth, results, engine=params.score.engine)
    matches = match_slices(truth, results)
    metrics = cast("dict[str, Yaml]", dict(found.metrics))
    if params.score.bootstrap and found.metrics["ap"] is not None:
        metrics["ap_interval"] = list(bootstrap_ap(found, resamples=params.score.bootstrap, seed=params.seed))
    metrics["keypoints"] = cast("Yaml", score_keypoints(truth, results, skeleton.keypoints, matches=found.matches))
    metrics["slices"] = cast("Yaml", score_slices(matches))
    if params.score.diagnosis:
        metrics |= diagnose_results(truth, results, skeleton)
    protocol = stamp(
        params, about, benchmark="coco", boxes=boxes, data_hash=truth_hash(layout, name),
        box_ap=detector_ap(config, truth) if boxes == "detections" else None,
        num_images=len(truth.image_ids), num_people=int((~truth.ignored).sum()),
    )  # fmt: skip
    metrics["protocol"] = cast("Yaml", protocol.to_dict())
    return ScoreFiles(metrics, found_people(truth, results, found, skeleton), matches_to_frame(matches), pr_rows(found))


def to_results(image_ids: pd.Series, poses: PoseSet, truth: CocoTruth) -> CocoResults:
    """Predicted poses as detected poses; their keypoints give the area that COCO's size slices look at."""
    return CocoResults.from_arrays(
        truth,
        image_ids.to_numpy(np.int64),
        keypoints=poses.keypoints,
        keypoint_scores=poses.keypoint_scores,
        scores=poses.pose_scores,
    )


def detector_ap(config: DatasetConfig, truth: CocoTruth) -> float | None:
    """Box AP of the detections file, all its boxes: a property of the detector, not of the poses that were kept of it."""
    if config.detections is None:
        return None
    detections = read_detections(annotation_path(config, config.detections), pd.DataFrame({"image_id": truth.image_ids}))
    boxes = xyxy_to_xywh(detections[list(BBOX_COLUMNS)].to_numpy(np.float32))
    return score_boxes(truth, detections["image_id"].to_numpy(np.int64), boxes, detections["score"].to_numpy(np.float64))["ap"]


def found_people(truth: CocoTruth, results: CocoResults, found: CocoScore, skeleton: Skeleton) -> pd.DataFrame:
    """One row a person that is asked for: the pose matched to it at OKS 0.5 (position in the results, -1 none) and its OKS."""
    asked = np.flatnonzero(~truth.ignored)
    pose_of = np.full(len(truth), -1, dtype=np.int64)
    matched = found.matches.truth_index[0, :, 0]  # type: ignore[index]
    pose_of[matched[matched >= 0]] = found.matches.detection_index[matched >= 0]
    people = asked[pose_of[asked] >= 0]
    poses = pose_of[people]
    oks, scores = np.zeros(len(truth)), np.zeros(len(truth))
    scores[people] = results.scores[poses]
    oks[people] = oks_pairs(
        results.keypoints[poses], truth.keypoints[people], truth.visibility[people], truth.area[people], skeleton.sigma_array
    )
    return pd.DataFrame(
        {
            "image_id": truth.image_ids[truth.image_index[asked]],
            "annotation_id": truth.annotation_ids[asked],
            "area": truth.area[asked],
            "pose": pose_of[asked],
            "oks": oks[asked],
            "pose_score": scores[asked],
        }
    )


def pr_rows(found: CocoScore) -> list[Yaml]:
    """Precision over recall at OKS .50, .75 and .90."""
    curves = {"0.50": found.pr_curves[0], "0.75": found.pr_curves[5], "0.90": found.pr_curves[8]}
    return [
        {"recall": float(recall), "precision": float(value), "oks": name}
        for name, curve in curves.items()
        for recall, value in zip(RECALL_POINTS, curve, strict=True)
        if not np.isnan(value)
    ]
