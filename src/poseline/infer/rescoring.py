"""Poses scored by the OKS to be expected of them, and the file that holds the fitted model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from poseline.artifacts import Layout, read_json
from poseline.codecs.scores import ScoreRule, pose_score
from poseline.config import PredictConfig
from poseline.config.params import Yaml
from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError
from poseline.infer.expected_oks import ExpectedOks, stack_features
from poseline.infer.predict import model_hash


def rescore(poses: PoseSet, model: ExpectedOks, rule: ScoreRule) -> PoseSet:
    """The poses scored by box score x the OKS that the model expects; ``rule`` is the score it was fitted on."""
    area = np.prod(np.ptp(poses.keypoints.astype(np.float64), axis=1), axis=1)
    rule_scores = pose_score(poses.keypoint_scores, np.ones(len(poses), np.float32), rule)
    expected = model.predict(stack_features(rule_scores, poses.keypoint_scores, area))
    return replace(poses, pose_scores=(poses.bbox_scores * expected).astype(np.float32))


def read_calibration(config: PredictConfig, layout: Layout, rule: ScoreRule) -> ExpectedOks:
    """The model that `poseline calibrate` fitted to this network, read from ``predict.calibration``.

    Raises:
        ArtifactError: missing, damaged, or fitted to other weights or settings.
    """
    path = Path(config.calibration)
    raw = read_json(path, made_by="calibrate")
    for key, value in calibration_terms(config, layout, rule).items():
        if raw.get(key) != value:
            raise ArtifactError(f"{path}: made with {key} {raw.get(key)}, now it is {value}. Run `poseline calibrate` again.")
    return ExpectedOks.from_dict(raw)


def calibration_terms(config: PredictConfig, layout: Layout, rule: ScoreRule) -> dict[str, Yaml]:
    """What a calibration is valid for: weights, score rule and flip test."""
    return {"model_hash": model_hash(layout, config), "score": rule, "flip": config.flip}
