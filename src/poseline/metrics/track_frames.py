"""Tracks to compare, frame by frame, with the similarity of every pair: the input of HOTA, identity and CLEAR scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from poseline.core.boxes import box_iou
from poseline.core.similarity import oks_matrix
from poseline.core.skeletons import load_skeleton
from poseline.datasets.mot.files import MOT_DISTRACTORS, MOT_PERSON, MotTracks
from poseline.datasets.posetrack.files import PoseTrackSequence
from poseline.datasets.posetrack.frames import ScoredFrame, scored_frames

# PoseTrack has no person areas; COCO people cover 0.53 of their box on average.
AREA_OF_BOX = 0.53


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """One frame: ids on both sides and the similarity of every pair, 0 to 1.

    Attributes:
        truth_ids: int64 [N], each once.
        predicted_ids: int64 [M], each once.
        similarity: float64 [N, M].

    Raises:
        ValueError: an id twice, or a matrix of another shape.
    """

    truth_ids: Int[np.ndarray, " N"]
    predicted_ids: Int[np.ndarray, " M"]
    similarity: Float[np.ndarray, "N M"]

    def __post_init__(self) -> None:
        truth, predicted = np.asarray(self.truth_ids, dtype=np.int64), np.asarray(self.predicted_ids, dtype=np.int64)
        similarity = np.asarray(self.similarity, dtype=np.float64)
        if similarity.shape != (len(truth), len(predicted)):
            raise ValueError(f"similarity: expected shape {(len(truth), len(predicted))}, got {similarity.shape}")
        if len(set(truth.tolist())) != len(truth) or len(set(predicted.tolist())) != len(predicted):
            raise ValueError("an id occurs twice in a frame")
        for name, value in (("truth_ids", truth), ("predicted_ids", predicted), ("similarity", similarity)):
            object.__setattr__(self, name, value)


def index_frames(frames: Sequence[TrackFrame]) -> list[TrackFrame]:
    """The same frames with ids renumbered 0, 1, ... on each side.

    >>> index_frames([TrackFrame(np.array([40]), np.array([7]), np.array([[0.5]]))])[0].truth_ids.tolist()
    [0]
    """
    truth = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(frame.truth_ids for frame in frames)]))
    predicted = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(frame.predicted_ids for frame in frames)]))
    return [
        TrackFrame(np.searchsorted(truth, frame.truth_ids), np.searchsorted(predicted, frame.predicted_ids), frame.similarity)
        for frame in frames
    ]


def count_appearances(frames: Sequence[TrackFrame]) -> tuple[Float[np.ndarray, " G"], Float[np.ndarray, " T"]]:
    """In how many frames each indexed object and each indexed track appears."""
    sides = ([frame.truth_ids for frame in frames], [frame.predicted_ids for frame in frames])
    truth, predicted = (np.bincount(np.concatenate([np.zeros(0, dtype=np.int64), *side])).astype(np.float64) for side in sides)
    return truth, predicted


def pose_frames(truth: PoseTrackSequence, predicted: PoseTrackSequence) -> list[TrackFrame]:
    """The labelled frames of a video with the OKS of every pair over the 15 scored joints; a joint not predicted counts 0.

    Raises:
        DataError: frames that do not correspond, or people without track ids.
    """
    sigmas = load_skeleton("posetrack15").sigma_array
    result = []
    for frame in scored_frames(truth, predicted, "strict"):
        own, other = frame.truth, frame.predicted
        found = np.where(other.present[..., None], other.joints, np.inf)
        oks = oks_matrix(found, own.joints, own.present.astype(np.int64), own.box_area * AREA_OF_BOX, sigmas)
        result.append(TrackFrame(own.track_ids, other.track_ids, oks.T))
    return result


def joint_frames(frames: Sequence[ScoredFrame], joint: int) -> list[TrackFrame]:
    """One joint of a video as tracks, similarity max(0, 1 - distance / 0.5001) in head sizes.

    Reference:
        Doering et al., PoseTrack21, CVPR 2022, keypoint HOTA.
    """
    result = []
    for frame in frames:
        rows, columns = frame.truth.present[:, joint], frame.predicted.present[:, joint]
        difference = frame.truth.joints[rows, None, joint] - frame.predicted.joints[None, columns, joint]
        distance = np.hypot(difference[..., 0], difference[..., 1]) / frame.truth.head_size[rows, None]
        similarity = np.maximum(0.0, 1.0 - distance / 0.5001)
        result.append(TrackFrame(frame.truth.track_ids[rows], frame.predicted.track_ids[columns], similarity))
    return result


def box_frames(truth: MotTracks, predicted: MotTracks) -> list[TrackFrame]:
    """The frames of a MOT video with the IoU of every pair.

    Predictions on a distractor of the truth (IoU >= 0.5) are left out, then the truth keeps its people with confidence above 0.

    Reference:
        MOT Challenge protocol, as in TrackEval.
    """
    result = []
    for number in range(1, max(truth.num_frames, predicted.num_frames) + 1):
        own, other = truth.frame(number), predicted.frame(number)
        iou = box_iou(own.bbox_xyxy, other.bbox_xyxy)
        kept = ~_on_distractor(iou, own.classes)
        counted = (own.confidence > 0) & np.isin(own.classes, (MOT_PERSON, -1))
        result.append(TrackFrame(own.track_ids[counted], other.track_ids[kept], iou[counted][:, kept]))
    return result


def _on_distractor(iou: Float[np.ndarray, "N M"], classes: Int[np.ndarray, " N"]) -> Int[np.ndarray, " M"]:
    """Which predictions are matched to an object that is neither to be found nor an error to find."""
    matched = np.zeros(iou.shape[1], dtype=bool)
    if not iou.size or not np.isin(classes, MOT_DISTRACTORS).any():
        return matched
    gated = np.where(iou >= 0.5 - float(np.finfo(float).eps), iou, 0.0)
    rows, columns = linear_sum_assignment(-gated)
    real = (gated[rows, columns] > 0) & np.isin(classes[rows], MOT_DISTRACTORS)
    matched[columns[real]] = True
    return matched
