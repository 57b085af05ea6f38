"""Poses of a data set's val images: which boxes, which model, how poses are scored and duplicates removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, PoseTable, file_hash, read_json, read_poses, read_table
from poseline.codecs.scores import ScoreRule, pose_score
from poseline.config import DatasetConfig, NmsConfig, PredictConfig
from poseline.core.nms import oks_nms, parametric_pose_nms, soft_oks_nms
from poseline.core.skeletons import Skeleton, map_keypoints
from poseline.datasets.boxes import detected_boxes, ground_truth_boxes
from poseline.datasets.coco_format import read_detections
from poseline.datasets.sets import annotation_path, split_files
from poseline.infer.estimator import PoseEstimator, estimate_boxes


def model_hash(layout: Layout, config: PredictConfig) -> str:
    """Hash of the weights in use, as their description gives it."""
    if config.runtime == "onnxruntime":
        return f"onnx:{file_hash(Path(str(config.onnx)))}"
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
    return boxes


def predict_boxes(estimator: PoseEstimator, boxes: pd.DataFrame, skeleton: Skeleton, nms: NmsConfig) -> PoseTable:
    """Poses of the boxes in a skeleton; duplicates among detections are merged or dropped image by image."""
    found = convert_predictions(estimate_boxes(estimator, boxes), estimator.skeleton, skeleton, estimator.score)
    if not len(found) or found.rows["boxes"].iloc[0] == "ground_truth" or nms.kind == "none":
        return found
    return PoseTable.concat([suppress(image, skeleton, nms, estimator.score) for _, image in found.groups("image_id")])


def convert_predictions(found: PoseTable, source: Skeleton, target: Skeleton, rule: ScoreRule) -> PoseTable:
    """The poses in another skeleton, scored anew over the keypoints that the model has."""
    poses = found.poses.convert(source, target)
    known = map_keypoints(source, target) >= 0
    scores = pose_score(poses.keypoint_scores[:, known], poses.bbox_scores, rule)
    return replace(found, poses=replace(poses, pose_scores=scores, visibility=np.full_like(poses.visibility, 2)))


def suppress(image: PoseTable, skeleton: Skeleton, nms: NmsConfig, rule: ScoreRule) -> PoseTable:
    """The poses of one image without duplicates, best first; all of them as they are for kind ``none``."""
    poses, keypoints = image.poses, {}
    match nms.kind:
        case "none":
            return image
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
    kept = image.select(index)
    return replace(kept, poses=replace(kept.poses, pose_scores=scores, **keypoints))
