"""Poses of a data set's val images: which boxes, which model, how poses are scored and duplicates removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, PoseTable, file_hash, read_json, read_poses, read_table
from poseline.codecs.scores import pose_score
from poseline.config import DatasetConfig, Params, PredictConfig
from poseline.core.nms import oks_nms, parametric_pose_nms, soft_oks_nms
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, map_keypoints
from poseline.datasets.boxes import detected_boxes, ground_truth_boxes
from poseline.datasets.coco_format import read_detections
from poseline.datasets.sets import annotation_path
from poseline.infer.estimator import PoseEstimator, estimate_boxes
from poseline.models.saved import SavedModel


def settle_rule(params: Params, saved: SavedModel) -> Params:
    """The parameters with the model's own rule of a pose's score, where ``predict.score`` leaves it to the model."""
    if params.predict.score != "model":
        return params
    return params.model_copy(update={"predict": params.predict.model_copy(update={"score": saved.score})})


def model_hash(layout: Layout, config: PredictConfig) -> str:
    """Hash of the weights in use, as their description gives it."""
    if config.runtime == "onnxruntime":
        return f"onnx:{file_hash(Path(str(config.onnx)))}"
    return str(read_json(layout.model / "model.json", made_by="train")["weights_hash"])


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


def predict_boxes(estimator: PoseEstimator, boxes: pd.DataFrame, skeleton: Skeleton, config: PredictConfig) -> PoseTable:
    """Poses of the boxes in a skeleton; duplicates among detections are merged or dropped."""
    found = convert_predictions(estimate_boxes(estimator, boxes, score=config.rule), estimator.skeleton, skeleton, config)
    if not len(found) or found.rows["boxes"].iloc[0] == "ground_truth" or config.nms.kind == "none":
        return found
    return PoseTable.concat([suppress(image, skeleton, config) for _, image in found.groups("image_id")])


def convert_predictions(found: PoseTable, source: Skeleton, target: Skeleton, config: PredictConfig) -> PoseTable:
    """The poses in another skeleton, scored anew over the keypoints that the model has."""
    poses = found.poses.convert(source, target)
    known = map_keypoints(source, target) >= 0
    poses = replace(poses, pose_scores=pose_score(poses.keypoint_scores[:, known], poses.bbox_scores, config.rule))
    return replace(found, poses=replace(poses, visibility=np.full_like(poses.visibility, 2)))


def suppress(image: PoseTable, skeleton: Skeleton, config: PredictConfig) -> PoseTable:
    """The poses of one image without duplicates."""
    poses: PoseSet = image.poses
    match config.nms.kind:
        case "parametric":
            index, keypoints, scores, published_scores = parametric_pose_nms(
                poses.keypoints, poses.keypoint_scores, poses.bbox_xyxy, poses.bbox_scores, mode=config.nms.mode
            )
            kept = image.select(index)
            known = (poses.keypoint_scores > 0).any(axis=0)
            pose_scores = published_scores
            if config.rule != "published":
                pose_scores = pose_score(scores[:, known], kept.poses.bbox_scores, config.rule)
            return replace(kept, poses=replace(kept.poses, keypoints=keypoints, keypoint_scores=scores, pose_scores=pose_scores))
        case "oks":
            return image.select(
                oks_nms(poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=config.nms.oks_threshold)
            )
        case "soft_oks":
            index, decayed = soft_oks_nms(
                poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=config.nms.oks_threshold
            )
            kept = image.select(index)
            return replace(kept, poses=replace(kept.poses, pose_scores=decayed))
        case "none":
            return image
