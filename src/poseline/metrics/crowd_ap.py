"""CrowdPose keypoint AP: COCO's rule with the area taken from the box, and by how crowded the image is."""

from __future__ import annotations

import numpy as np

from poseline.core.boxes import AREA_OF_BOX
from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError
from poseline.metrics.keypoint_ap import KeypointScore, match_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.match_table import precision_recall

CROWD_SLICES = ("all", "easy", "medium", "hard")
EASY_BELOW, HARD_FROM = 0.2, 0.8


def score_crowdpose(ground_truth: GroundTruth, predictions: Predictions, *, max_detections: int = 20) -> KeypointScore:
    """AP and AR of CrowdPose: ap, ap50, ap75, ar, ar50, ar75, ap_easy, ap_medium, ap_hard, fractions (None without people).

    OKS divides by 0.53 of the box's area. Easy, medium and hard are the images whose crowd index is below 0.2, below 0.8 and the
    rest; they are the slices of the match table too. The official tool rounds these three to four decimals.

    Raises:
        DataError: the ground truth lacks the images' crowd index or has other than 14 keypoints.

    Reference:
        Li et al., CrowdPose, CVPR 2019; crowdposetools (get_type_result with 0.2 and 0.8).
    """
    if ground_truth.crowd_index is None:
        raise DataError("ground truth: the images have no 'crowdIndex', which CrowdPose's scores need. Give CrowdPose's annotation file.")
    if ground_truth.keypoints.shape[1] != 14:
        raise DataError(
            f"ground truth: {ground_truth.keypoints.shape[1]} keypoints, skeleton 'crowdpose14' has 14. Give CrowdPose's annotation file."
        )
    image_slice = np.digitize(ground_truth.crowd_index, [EASY_BELOW, HARD_FROM]) + 1
    slices = np.arange(len(CROWD_SLICES))[:, None]
    matches = match_coco(
        ground_truth,
        predictions,
        sigmas=load_skeleton("crowdpose14").sigma_array,
        max_detections=max_detections,
        oks_area=ground_truth.bbox_xywh[:, 2] * ground_truth.bbox_xywh[:, 3] * AREA_OF_BOX,
        ground_truth_outside=(slices > 0) & (image_slice[ground_truth.image_index] != slices),
        predictions_outside=(slices > 0) & (image_slice[predictions.image_index] != slices),
        slices=CROWD_SLICES,
    )
    precision, recall = precision_recall(matches)
    values = {
        "ap": precision[0],
        "ap50": precision[0, 0],
        "ap75": precision[0, 5],
        "ar": recall[0],
        "ar50": recall[0, 0],
        "ar75": recall[0, 5],
        **{f"ap_{name}": precision[index] for index, name in enumerate(CROWD_SLICES) if index},
    }
    metrics = {name: None if np.isnan(curve).any() else float(np.mean(curve)) for name, curve in values.items()}
    return KeypointScore(metrics=metrics, matches=matches, precision=precision, recall=recall)
