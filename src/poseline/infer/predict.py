"""Poses of a data set's val images: which boxes, which model, how poses are scored and duplicates removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from poseline.artifacts import Layout, PoseTable, file_hash, read_json, read_poses, read_table
from poseline.codecs.scores import ScoreRule, pose_score
from poseline.config import DatasetConfig, NmsConfig, PredictConfig
from poseline.core.nms import HEATMAP_CONSTANTS, oks_nms, parametric_pose_nms, soft_oks_nms
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, map_keypoints
from poseline.datasets.boxes import detected_boxes, ground_truth_boxes
from poseline.datasets.coco_format import read_detections
from poseline.datasets.sets import annotation_path, split_files
from poseline.infer.estimator import PoseEstimator, estimate_boxes
from poseline.progress import follow, warn
from poseline.project import located


def model_hash(layout: Layout, config: PredictConfig) -> str:
    """Hash of the weights in use, as their description gives it."""
    if config.runtime == "onnxruntime":
        return f"onnx:{file_hash(located(str(config.onnx)))}"
    return str(read_json(layout.model / "model.json", made_by="train")["weights_hash"])


def list_inputs(layout: Layout, name: str, config: DatasetConfig, predict: PredictConfig) -> list[Path]:
    """The files that predictions of a set are made from, its images aside."""
    model = layout.model / "model.json" if predict.runtime == "torch" else Path(str(predict.onnx))
    files = [model, layout.processed / "people.parquet", layout.processed / "images.parquet", split_files(config, "val", name=name)[1]]
    return files if config.detections is None else [*files, annotation_path(config, config.detections)]


def list_boxes(layout: Layout, name: str, config: DatasetConfig, *, min_score: float) -> list[pd.DataFrame]:
    """The ground-truth boxes of val and, where the set has a detections file, the detected ones."""
    people, _ = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    images, _ = read_table(layout.processed / "images.parquet", kind="images", made_by="preprocess")
    boxes = [ground_truth_boxes(people.where(dataset=name, split="val"))]
    if config.detections is not None:
        own = images[(images["dataset"] == name) & (images["split"] == "val")]
        detections = read_detections(annotation_path(config, config.detections), own)
        boxes.append(detected_boxes(detections, own, min_score=min_score))
        if len(detections) and not len(boxes[-1]):
            best = float(detections["score"].max())
            warn(f"none of {len(detections)} detections scores predict.min_box_score {min_score:g}; the best has {best:.3g}. Lower it.")
    return boxes


def predict_boxes(estimator: PoseEstimator, boxes: pd.DataFrame, skeleton: Skeleton, nms: NmsConfig) -> PoseTable:
    """Poses of the boxes in a skeleton; duplicates among detections are merged or dropped image by image."""
    found = convert_predictions(estimate_boxes(estimator, boxes), estimator.skeleton, skeleton, estimator.score)
    if not len(found) or found.rows["boxes"].iloc[0] == "ground_truth" or nms.kind == "none":
        return found
    images = follow(found.groups("image_id"), "duplicates", total=found.rows["image_id"].nunique())
    kept = PoseTable.concat([suppress(image, skeleton, nms, estimator.score) for _, image in images])
    if (text := describe_dropped(found.poses.keypoint_scores, len(kept), nms)) is not None:
        warn(text)
    return kept


def describe_dropped(keypoint_scores: Float[np.ndarray, "N K"], num_kept: int, nms: NmsConfig) -> str | None:
    """What is to be said of poses that NMS drops for their low scores, as those of a weak model are; None below half of them.

    >>> describe_dropped(np.full((4, 17), 0.1), 0, NmsConfig())[:75]
    'parametric pose NMS keeps 0 of 4 detections: 4 have no keypoint that scores'
    """
    if nms.kind != "parametric" or not len(keypoint_scores):
        return None
    best, least = keypoint_scores.max(axis=1), HEATMAP_CONSTANTS.score
    low = int((best < least).sum())
    if num_kept and low < len(best) / 2:
        return None
    return (
        f"parametric pose NMS keeps {num_kept} of {len(best)} detections: {low} have no keypoint that scores {least:g}, the least that it "
        f"keeps a person with (the highest of all is {best.max():.3g}). Train longer, or set predict.nms.kind=oks, which has no such limit."
    )


def convert_predictions(found: PoseTable, source: Skeleton, target: Skeleton, rule: ScoreRule) -> PoseTable:
    """The poses in another skeleton, scored anew over the keypoints that the model has."""
    poses = found.poses.convert(source, target)
    known = map_keypoints(source, target) >= 0
    scores = pose_score(poses.keypoint_scores[:, known], poses.bbox_scores, rule)
    return replace(found, poses=replace(poses, pose_scores=scores, visibility=np.full_like(poses.visibility, 2)))


def suppress(image: PoseTable, skeleton: Skeleton, nms: NmsConfig, rule: ScoreRule) -> PoseTable:
    """The poses of one image without duplicates, best first; all of them as they are for kind ``none``."""
    if nms.kind == "none":
        return image
    index, poses = _suppress(image.poses, skeleton, nms, rule)
    return PoseTable(image.rows.iloc[index], poses)


def suppress_poses(poses: PoseSet, skeleton: Skeleton, nms: NmsConfig, rule: ScoreRule) -> PoseSet:
    """The same for the bare poses of one image."""
    return poses if nms.kind == "none" or not len(poses) else _suppress(poses, skeleton, nms, rule)[1]


def _suppress(poses: PoseSet, skeleton: Skeleton, nms: NmsConfig, rule: ScoreRule) -> tuple[np.ndarray, PoseSet]:
    """Rows of the poses that are kept, best first, and these poses, merged and scored anew."""
    keypoints = {}
    match nms.kind:
        case "parametric":
            index, merged, merged_scores, scores = parametric_pose_nms(
                poses.keypoints, poses.keypoint_scores, poses.bbox_xyxy, poses.bbox_scores, mode=nms.mode
            )
            if rule in ("mean", "mean_visible"):  # the published rule's scores are those that NMS gives
                known = (poses.keypoint_scores > 0).any(axis=0)
                scores = pose_score(merged_scores[:, known], poses.bbox_scores[index], rule)
            keypoints = {"keypoints": merged, "keypoint_scores": merged_scores}
        case "oks":
            index = oks_nms(poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=nms.oks_threshold)
            scores = poses.pose_scores[index]
        case "soft_oks":
            index, scores = soft_oks_nms(
                poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=nms.oks_threshold
            )
        case "none":
            return np.arange(len(poses)), poses
    return index, replace(poses.select(index), pose_scores=scores, **keypoints)
