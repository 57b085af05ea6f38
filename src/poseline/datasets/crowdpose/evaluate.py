"""CrowdPose's protocol: COCO's rule with the area taken from the box, and AP by how crowded the image is."""

from __future__ import annotations

from poseline.config import ScoreConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco_protocol import CocoFormProtocol, evaluate_keypoints
from poseline.datasets.protocols import Evaluation, Headline
from poseline.metrics.crowd_ap import score_crowdpose
from poseline.metrics.keypoint_types import GroundTruth, Predictions


class CrowdPose(CocoFormProtocol):
    """CrowdPose's 14 keypoints."""

    name = "crowdpose"
    title = "CrowdPose"
    headline = (
        Headline("ap", "AP", "Mean keypoint AP over OKS .50 to .95, every person's ground-truth box given."),
        Headline("ap_easy", "AP easy"),
        Headline("ap_medium", "AP medium"),
        Headline("ap_hard", "AP hard"),
    )
    area_from_box = True

    def evaluate(self, ground_truth: GroundTruth, predictions: Predictions, options: ScoreConfig) -> Evaluation:
        """AP and AR, and AP of easy, medium and hard images."""
        score = score_crowdpose(ground_truth, predictions)
        return evaluate_keypoints(score, ground_truth, predictions, load_skeleton("crowdpose14").sigma_array)
