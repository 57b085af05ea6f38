"""What the protocols of full-body keypoints share: the score of the whole and of each part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from poseline.datasets.coco_protocol import num_counted, plot_precision, tabulate_people
from poseline.datasets.protocols import Evaluation, Headline
from poseline.metrics.keypoint_ap import KeypointScore
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import PartTable, summarize_parts

PART_HEADLINE = (
    Headline("ap", "AP", "Mean keypoint AP over OKS .50 to .95 of the whole person, every person's true box given."),
    Headline("ap_body", "AP body"),
    Headline("ap_foot", "AP feet"),
    Headline("ap_face", "AP face"),
    Headline("ap_hand", "AP hands"),
)


def evaluate_parts(
    scores: Mapping[str, KeypointScore], ground_truth: GroundTruth, predictions: Predictions, sigmas: Float[np.ndarray, " K"]
) -> Evaluation:
    """The metrics of the whole, and AP and AR of each part."""
    whole = scores["whole"]
    return Evaluation(
        metrics={name: whole.metrics[name] for name in ("ap", "ap50", "ap75")} | summarize_parts(scores),
        num_images=len(ground_truth.image_ids),
        num_people=num_counted(ground_truth),
        table=PartTable({part: score.matches for part, score in scores.items()}),
        sections={"parts": {part: score.metrics for part, score in scores.items()}},
        people=tabulate_people(ground_truth, predictions, whole, sigmas),
        plot=plot_precision(whole),
    )
