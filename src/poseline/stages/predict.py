"""Stage predict: the poses of one benchmark's val pictures, in its own skeleton, under its true and its detected boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, file_hash, read_json, read_table, write_json, write_table
from poseline.codecs.scores import pose_score
from poseline.config import Benchmark, DatasetConfig, Params, PredictConfig, config_hash
from poseline.config.params import Yaml
from poseline.core.nms import oks_nms, parametric_pose_nms, soft_oks_nms
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton, map_keypoints
from poseline.datasets.coco.files import read_detections
from poseline.datasets.predictions import detected_boxes, pose_set, truth_boxes
from poseline.datasets.read import annotation_path
from poseline.datasets.sets import dataset_config
from poseline.errors import ArtifactError
from poseline.infer.estimator import PoseEstimator, estimate_boxes
from poseline.infer.expected_oks import ExpectedOks, stack_features
from poseline.infer.runtime import load_estimator
from poseline.models.device import resolve_device
from poseline.models.saved import SavedModel

PROTOCOL_SKELETON: dict[Benchmark, str] = {"coco": "coco17", "mpii": "mpii16", "posetrack": "posetrack17"}


def run(params: Params, layout: Layout, device: str, benchmark: Benchmark) -> dict[str, int]:
    """Write data/predictions/<benchmark>: poses.parquet and about.json; counts of poses by kind of boxes.

    A benchmark that is not enabled gets an about.json that says so, and nothing else.
    """
    config = dataset_config(params, benchmark)
    target = layout.predictions / benchmark
    if not config.enabled:
        with atomic_folder(target) as folder:
            write_json(folder / "about.json", {"enabled": False})
        return {}
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    params = settle_rule(params, estimator.saved)
    skeleton = load_skeleton(PROTOCOL_SKELETON[benchmark])
    tables = [predict_boxes(estimator, boxes, skeleton, params.predict) for boxes in list_boxes(params, layout, benchmark, config)]
    poses = pd.concat(tables, ignore_index=True)
    rescored = benchmark == "coco" and params.predict.rescoring == "expected_oks"
    if rescored:
        poses = rescore(poses, read_calibration(params, layout), params.predict)
    missing = [k for k, index in zip(skeleton.keypoints, map_keypoints(estimator.skeleton, skeleton), strict=True) if index < 0]
    counts = {str(kind): int(count) for kind, count in poses["boxes"].value_counts().items()}
    header = TableHeader("predictions", skeleton.name, config_hash(params.predict), model_hash(layout, params.predict))
    with atomic_folder(target) as folder:
        write_table(folder / "poses.parquet", poses, header)
        write_json(
            folder / "about.json",
            {
                "enabled": True,
                "poses": dict(counts),
                "model_hash": header.source_hash,
                "flip": params.predict.flip,
                "input_wh": list(estimator.saved.model.input_wh),
                "codec": estimator.saved.codec.kind,
                "geometry": estimator.saved.codec.geometry,
                "nms": params.predict.nms.kind,
                "score": "expected_oks" if rescored else params.predict.score,
                "missing_keypoints": list(missing),
            },
        )
    return counts


def settle_rule(params: Params, saved: SavedModel) -> Params:
    """The parameters with the model's own rule of a person's score, where ``predict.score`` leaves it to the model."""
    if params.predict.score != "model":
        return params
    return params.model_copy(update={"predict": params.predict.model_copy(update={"score": saved.score})})


def model_hash(layout: Layout, config: PredictConfig) -> str:
    """Hash of the weights in use, as their description gives it."""
    if config.runtime == "onnxruntime":
        return f"onnx:{file_hash(Path(str(config.onnx)))}"
    return str(read_json(layout.model / "model.json", made_by="train")["weights_hash"])


def rescore(poses: pd.DataFrame, model: ExpectedOks, config: PredictConfig) -> pd.DataFrame:
    """The rows scored by box score x the OKS that the model expects of the pose."""
    num_keypoints = len(poses["keypoint_scores"].iloc[0]) if len(poses) else 0
    found = pose_set(poses, num_keypoints)
    area = np.prod(np.ptp(found.keypoints.astype(np.float64), axis=1), axis=1)
    rule_scores = pose_score(found.keypoint_scores, np.ones(len(found), np.float32), config.rule)
    expected = model.predict(stack_features(rule_scores, found.keypoint_scores, area))
    return poses.assign(pose_score=(found.bbox_scores * expected).astype(np.float32))


def read_calibration(params: Params, layout: Layout) -> ExpectedOks:
    """The model that `poseline calibrate` fitted to this network.

    Raises:
        ArtifactError: missing, damaged, or fitted to other weights or settings.
    """
    path = Path(params.predict.calibration)
    raw = read_json(path, made_by="calibrate")
    for key, value in calibration_terms(params, layout).items():
        if raw.get(key) != value:
            raise ArtifactError(f"{path}: made with {key} {raw.get(key)}, now it is {value}. Run `poseline calibrate` again.")
    return ExpectedOks.from_dict(raw)  # type: ignore[arg-type]


def calibration_terms(params: Params, layout: Layout) -> dict[str, Yaml]:
    """What a calibration is valid for."""
    return {"model_hash": model_hash(layout, params.predict), "score": params.predict.score, "flip": params.predict.flip}


def list_boxes(params: Params, layout: Layout, benchmark: Benchmark, config: DatasetConfig) -> list[pd.DataFrame]:
    """The true boxes and, where the benchmark has a detections file, the detected ones."""
    people, _ = read_table(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    images, _ = read_table(layout.processed / "images.parquet", kind="images", made_by="preprocess")
    chosen = people[(people["dataset"] == benchmark) & (people["split"] == "val")]
    boxes = [truth_boxes(chosen)]
    if config.detections is not None:
        pictures = images[(images["dataset"] == benchmark) & (images["split"] == "val")]
        detections = read_detections(annotation_path(config, config.detections), pictures)
        boxes.append(detected_boxes(detections, pictures, min_score=params.predict.min_box_score))
    return boxes


def predict_boxes(estimator: PoseEstimator, boxes: pd.DataFrame, skeleton: Skeleton, config: PredictConfig) -> pd.DataFrame:
    """Poses of the boxes in the benchmark's skeleton; duplicates among detections are merged or dropped."""
    found = estimate_boxes(estimator, boxes, score=config.rule)
    found = convert_predictions(found, estimator.skeleton, skeleton, config)
    if not len(found) or found["boxes"].iloc[0] == "ground_truth" or config.nms.kind == "none":
        return found
    kept = [suppress(rows, skeleton, config) for _, rows in found.groupby("image_id", sort=False)]
    return pd.concat(kept, ignore_index=True)


def convert_predictions(found: pd.DataFrame, source: Skeleton, target: Skeleton, config: PredictConfig) -> pd.DataFrame:
    """The table in another skeleton, matched by name, and scored anew; a keypoint that the model lacks is (0, 0) with score 0."""
    poses = pose_set(found, source.num_keypoints)
    index = map_keypoints(source, target)
    known = index >= 0
    keypoints = np.where(known[None, :, None], poses.keypoints[:, index], 0).astype(np.float32)
    scores = np.where(known[None, :], poses.keypoint_scores[:, index], 0).astype(np.float32)
    return with_poses(found, keypoints, scores, pose_score(scores[:, known], poses.bbox_scores, config.rule))


def with_poses(rows: pd.DataFrame, keypoints: np.ndarray, scores: np.ndarray, pose_scores: np.ndarray) -> pd.DataFrame:
    """The rows with other poses."""
    return rows.assign(
        keypoints=list(keypoints.reshape(len(rows), 2 * scores.shape[1])),
        keypoint_scores=list(scores),
        pose_score=np.asarray(pose_scores, np.float32),
    )


def suppress(rows: pd.DataFrame, skeleton: Skeleton, config: PredictConfig) -> pd.DataFrame:
    """The poses of one picture without duplicates."""
    poses: PoseSet = pose_set(rows, skeleton.num_keypoints)
    match config.nms.kind:
        case "parametric":
            index, keypoints, scores, reference_scores = parametric_pose_nms(
                poses.keypoints, poses.keypoint_scores, poses.bbox_xyxy, poses.bbox_scores, mode=config.nms.mode
            )
            kept = poses.select(index)
            known = (poses.keypoint_scores > 0).any(axis=0)
            rule_scores = reference_scores if config.rule == "published" else pose_score(scores[:, known], kept.bbox_scores, config.rule)
            kept = replace(kept, keypoints=keypoints, keypoint_scores=scores, pose_scores=rule_scores)
        case "oks":
            index = oks_nms(
                poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=config.nms.oks_threshold
            )
            kept = poses.select(index)
        case "soft_oks":
            index, decayed = soft_oks_nms(
                poses.keypoints, poses.pose_scores, poses.bbox_xyxy, skeleton.sigma_array, oks_threshold=config.nms.oks_threshold
            )
            kept = replace(poses.select(index), pose_scores=decayed)
        case "none":
            return rows
    return with_poses(rows.iloc[index], kept.keypoints, kept.keypoint_scores, kept.pose_scores)
