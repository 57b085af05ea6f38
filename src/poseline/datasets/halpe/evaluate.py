"""Halpe's protocol: COCO's rule on body, feet, face, hands and all of them, of 136 keypoints or the first 26."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poseline.config import ScoreConfig
from poseline.datasets.coco_protocol import CocoFormProtocol
from poseline.datasets.part_protocol import PART_HEADLINE, evaluate_parts
from poseline.datasets.protocols import Evaluation
from poseline.errors import DataError
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import HALPE_SIGMAS, score_halpe

SIZES = (26, 136)


class Halpe(CocoFormProtocol):
    """Halpe's 136 full-body keypoints, or its 26 of the body."""

    name = "halpe"
    title = "Halpe"
    headline = PART_HEADLINE

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> GroundTruth:
        """The people of an annotation file; by their first 26 keypoints where the protocol's skeleton has no more.

        Raises:
            DataError: missing, damaged, or neither 26 nor 136 keypoints.
        """
        people = super().read_ground_truth(path)
        count = people.keypoints.shape[1]
        if count not in SIZES:
            raise DataError(f"{path}: {count} keypoints a person, Halpe has 26 or 136. Give Halpe's annotation file.")
        wanted = count if self.skeleton is None else min(count, self.skeleton.num_keypoints)
        return replace(people, keypoints=people.keypoints[:, :wanted], visibility=people.visibility[:, :wanted])

    def evaluate(self, ground_truth: GroundTruth, predictions: Predictions, options: ScoreConfig) -> Evaluation:
        """AP and AR of the whole and of each part."""
        sigmas = HALPE_SIGMAS[: ground_truth.keypoints.shape[1]]
        return evaluate_parts(score_halpe(ground_truth, predictions), ground_truth, predictions, sigmas)
