"""COCO-WholeBody's protocol: COCO's rule on body, feet, face, hands and all of them."""

from __future__ import annotations

from dataclasses import replace

from poseline.config import ScoreConfig
from poseline.datasets.coco_protocol import PART_HEADLINE, CocoFormProtocol, evaluate_parts
from poseline.datasets.coco_scoring import WHOLEBODY_PARTS
from poseline.datasets.protocols import Evaluation
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import WHOLEBODY_SIGMAS, score_wholebody


class WholeBody(CocoFormProtocol):
    """COCO-WholeBody's 133 keypoints."""

    name = "coco-wholebody"
    title = "COCO-WholeBody"
    headline = PART_HEADLINE
    parts = WHOLEBODY_PARTS

    def evaluate(self, ground_truth: GroundTruth, predictions: Predictions, options: ScoreConfig) -> Evaluation:
        """AP and AR of the whole and of each part."""
        poses = predictions.with_confident_keypoints()
        scores = score_wholebody(ground_truth, poses)
        whole = replace(poses, scores=poses.part_scores.get("whole", poses.scores))
        return evaluate_parts(scores, ground_truth, whole, WHOLEBODY_SIGMAS)
