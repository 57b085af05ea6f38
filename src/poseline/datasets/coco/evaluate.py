"""COCO's keypoint protocol: AP and AR over OKS .50 to .95, of COCO's own 17 keypoints or any skeleton's."""

from __future__ import annotations

from dataclasses import replace

from poseline.config import ScoreConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco_protocol import CocoFormProtocol, evaluate_keypoints
from poseline.datasets.protocols import Evaluation, Headline, KeypointMatches
from poseline.errors import DataError
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import COCO_SIGMAS, GroundTruth, Predictions


class Coco(CocoFormProtocol):
    """COCO keypoints."""

    name = "coco"
    title = "COCO"
    headline = (
        Headline("ap", "AP", "Mean keypoint AP over OKS .50 to .95, every person's ground-truth box given."),
        Headline("ap50", "AP .50"),
        Headline("ap75", "AP .75"),
        Headline("ar", "AR"),
    )

    def evaluate(self, ground_truth: GroundTruth, predictions: Predictions, options: ScoreConfig) -> Evaluation:
        """The ten metrics of pycocotools.

        Raises:
            DataError: another number of keypoints than the skeleton's.
        """
        skeleton = self.skeleton or load_skeleton("coco17")
        count = ground_truth.keypoints.shape[1]
        if count != skeleton.num_keypoints:
            advice = "Give --protocol crowdpose, halpe or coco-wholebody for other sets."
            raise DataError(f"{count} keypoints a person, skeleton '{skeleton.name}' has {skeleton.num_keypoints}. {advice}")
        # pycocotools' own sigmas differ from the same decimals in the last bit.
        sigmas = COCO_SIGMAS if skeleton.name == "coco17" else skeleton.sigma_array
        score = score_coco(ground_truth, predictions, sigmas=sigmas, engine=options.engine)
        evaluation = evaluate_keypoints(score, ground_truth, predictions, skeleton.sigma_array)
        return replace(evaluation, keypoints=KeypointMatches(ground_truth, predictions, score.matches, skeleton, sigmas))
