"""Halpe's protocol: COCO's rule on body, feet, face, hands and all of them, of 136 keypoints or the first 26."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poseline.artifacts import PoseTable
from poseline.config import ScoreConfig
from poseline.datasets.coco_protocol import PART_HEADLINE, CocoFormProtocol, evaluate_parts
from poseline.datasets.coco_scoring import first_keypoints, read_predictions
from poseline.datasets.protocols import Evaluation
from poseline.errors import DataError
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import HALPE_SIGMAS, score_halpe

SIZES = (26, 136)


class Halpe(CocoFormProtocol):
    """Halpe's 136 full-body keypoints, or its 26 of the body; crowds count, poses without a keypoint score above 0 do not."""

    name = "halpe"
    title = "Halpe"
    headline = PART_HEADLINE

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> GroundTruth:
        """The people of an annotation file.

        Raises:
            DataError: missing, damaged, or neither 26 nor 136 keypoints.
        """
        people = super().read_ground_truth(path)
        count = people.keypoints.shape[1]
        if count not in SIZES:
            raise DataError(f"{path}: {count} keypoints a person, Halpe has 26 or 136. Give Halpe's annotation file.")
        return people

    def read_predictions(self, path: Path, ground_truth: GroundTruth) -> Predictions:
        """The poses of a result file, of as many keypoints as the ground truth or of the body's 26."""
        return read_predictions(path, ground_truth, subsets=SIZES)

    def from_poses(self, table: PoseTable, ground_truth: GroundTruth) -> Predictions:
        """The pipeline's poses, of as many keypoints as the ground truth or of the body's 26."""
        return super().from_poses(table, first_keypoints(ground_truth, table.poses.num_keypoints))

    def evaluate(self, ground_truth: GroundTruth, predictions: Predictions, options: ScoreConfig) -> Evaluation:
        """AP and AR of the whole and of each part that is predicted."""
        count = predictions.keypoints.shape[1]
        people = replace(first_keypoints(ground_truth, count), crowds_count=True)
        poses = predictions.with_confident_keypoints()
        return evaluate_parts(score_halpe(people, poses), people, poses, HALPE_SIGMAS[:count])
