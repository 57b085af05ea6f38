"""CrowdPose keypoint AP: COCO's rule with the area taken from the box, and by how crowded the picture is."""

from __future__ import annotations

import numpy as np

from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco.scoring_files import BOX_TO_AREA
from poseline.errors import DataError
from poseline.metrics.average_precision import precision_recall
from poseline.metrics.keypoint_ap import match_coco
from poseline.metrics.keypoint_types import CocoResults, CocoScore, CocoTruth

CROWD_SLICES = ("all", "easy", "medium", "hard")
EASY_BELOW, HARD_FROM = 0.2, 0.8


def score_crowdpose(truth: CocoTruth, results: CocoResults, *, max_detections: int = 20) -> CocoScore:
    """AP and AR of CrowdPose: ap, ap50, ap75, ar, ar50, ar75, ap_easy, ap_medium, ap_hard, fractions (None without people).

    OKS divides by 0.53 of the box's area. Easy, medium and hard are the pictures whose crowd index is below 0.2, below 0.8 and the
    rest; they are the slices of the match table too. The official tool rounds these three to four decimals.

    Raises:
        DataError: the truth lacks the pictures' crowd index or has other than 14 keypoints.

    Reference:
        Li et al., CrowdPose, CVPR 2019; crowdposetools (get_type_result with 0.2 and 0.8).
    """
    if truth.crowd_index is None:
        raise DataError("truth: the pictures have no 'crowdIndex', which CrowdPose's scores need. Give CrowdPose's annotation file.")
    if truth.keypoints.shape[1] != 14:
        raise DataError(f"truth: {truth.keypoints.shape[1]} keypoints, skeleton 'crowdpose14' has 14. Give CrowdPose's annotation file.")
    image_slice = np.digitize(truth.crowd_index, [EASY_BELOW, HARD_FROM]) + 1
    slices = np.arange(len(CROWD_SLICES))[:, None]
    matches = match_coco(
        truth,
        results,
        sigmas=load_skeleton("crowdpose14").sigma_array,
        max_detections=max_detections,
        oks_area=truth.bbox_xywh[:, 2] * truth.bbox_xywh[:, 3] * BOX_TO_AREA,
        truth_outside=(slices > 0) & (image_slice[truth.image_index] != slices),
        results_outside=(slices > 0) & (image_slice[results.image_index] != slices),
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
    return CocoScore(metrics=metrics, matches=matches, precision=precision, recall=recall)
