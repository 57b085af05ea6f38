"""Track metrics of MOT Challenge videos on box IoU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second
from jaxtyping import Bool, Float, Int

from poseline.core.boxes import box_iou
from poseline.datasets.mot.files import MOT_DISTRACTORS, MOT_PERSON, MotTracks
from poseline.errors import DataError
from poseline.metrics.track_frames import TrackFrame
from poseline.metrics.tracking_score import TrackingScore, score_track_frames


def score_box_tracking(
    ground_truth: Mapping[str, MotTracks], predicted: Mapping[str, MotTracks], *, threshold: float = 0.5
) -> TrackingScore:
    """Track metrics of MOT videos on box IoU; a pair counts for identity and CLEAR at IoU >= threshold.

    Raises:
        DataError: other videos on one side than on the other, or none.
    """
    if set(ground_truth) != set(predicted) or not ground_truth:
        names = f"ground truth {sorted(ground_truth)[:4]}, predictions {sorted(predicted)[:4]}"
        raise DataError(f"MOT videos differ: {names}. One file a video, same name.")
    return score_track_frames({name: box_frames(own, predicted[name]) for name, own in ground_truth.items()}, threshold=threshold)


def box_frames(ground_truth: MotTracks, predicted: MotTracks) -> list[TrackFrame]:
    """The frames of a MOT video with the IoU of every pair.

    Predictions on a distractor of the ground truth (IoU >= 0.5) are left out, then the ground truth keeps its people with
    confidence above 0.

    Reference:
        MOT Challenge protocol, as in TrackEval.
    """
    result = []
    for number in range(1, max(ground_truth.num_frames, predicted.num_frames) + 1):
        own, other = ground_truth.frame(number), predicted.frame(number)
        iou = box_iou(own.bbox_xyxy, other.bbox_xyxy)
        kept = ~_on_distractor(iou, own.classes)
        counted = (own.confidence > 0) & np.isin(own.classes, (MOT_PERSON, -1))
        result.append(TrackFrame(own.track_ids[counted], other.track_ids[kept], iou[counted][:, kept]))
    return result


def _on_distractor(iou: Float[np.ndarray, "N M"], classes: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " M"]:
    """Which predictions are matched to an object that is neither to be found nor an error to find."""
    matched = np.zeros(iou.shape[1], dtype=bool)
    if not iou.size or not np.isin(classes, MOT_DISTRACTORS).any():
        return matched
    gated = np.where(iou >= 0.5 - float(np.finfo(float).eps), iou, 0.0)
    rows, columns = scipy.optimize.linear_sum_assignment(-gated)
    real = (gated[rows, columns] > 0) & np.isin(classes[rows], MOT_DISTRACTORS)
    matched[columns[real]] = True
    return matched
