"""Tracks to compare, frame by frame, with the similarity of every pair: the input of HOTA, identity and CLEAR scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poseline.metrics.posetrack_frames import ScoredFrame


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """One frame: ids on both sides and the similarity of every pair, 0 to 1.

    Attributes:
        ground_truth_ids: int64 [N], each once.
        predicted_ids: int64 [M], each once.
        similarity: float64 [N, M].

    Raises:
        ValueError: an id twice, or a matrix of another shape.
    """

    ground_truth_ids: Int[np.ndarray, " N"]
    predicted_ids: Int[np.ndarray, " M"]
    similarity: Float[np.ndarray, "N M"]

    def __post_init__(self) -> None:
        ground_truth, predicted = np.asarray(self.ground_truth_ids, dtype=np.int64), np.asarray(self.predicted_ids, dtype=np.int64)
        similarity = np.asarray(self.similarity, dtype=np.float64)
        if similarity.shape != (len(ground_truth), len(predicted)):
            raise ValueError(f"similarity: expected shape {(len(ground_truth), len(predicted))}, got {similarity.shape}")
        if len(set(ground_truth.tolist())) != len(ground_truth) or len(set(predicted.tolist())) != len(predicted):
            raise ValueError("an id occurs twice in a frame")
        for name, value in (("ground_truth_ids", ground_truth), ("predicted_ids", predicted), ("similarity", similarity)):
            object.__setattr__(self, name, value)


def index_frames(frames: Sequence[TrackFrame]) -> list[TrackFrame]:
    """The same frames with ids renumbered 0, 1, ... on each side.

    >>> index_frames([TrackFrame(np.array([40]), np.array([7]), np.array([[0.5]]))])[0].ground_truth_ids.tolist()
    [0]
    """
    ground_truth = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(frame.ground_truth_ids for frame in frames)]))
    predicted = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(frame.predicted_ids for frame in frames)]))
    return [
        TrackFrame(np.searchsorted(ground_truth, frame.ground_truth_ids), np.searchsorted(predicted, frame.predicted_ids), frame.similarity)
        for frame in frames
    ]


def count_appearances(frames: Sequence[TrackFrame]) -> tuple[Float[np.ndarray, " G"], Float[np.ndarray, " T"]]:
    """In how many frames each indexed object and each indexed track appears."""
    sides = ([frame.ground_truth_ids for frame in frames], [frame.predicted_ids for frame in frames])
    ground_truth, predicted = (np.bincount(np.concatenate([np.zeros(0, dtype=np.int64), *side])).astype(np.float64) for side in sides)
    return ground_truth, predicted


def joint_frames(frames: Sequence[ScoredFrame], joint: int) -> list[TrackFrame]:
    """One joint of a video as tracks, similarity max(0, 1 - distance / 0.5001) in head sizes.

    Reference:
        Doering et al., PoseTrack21, CVPR 2022, keypoint HOTA.
    """
    result = []
    for frame in frames:
        rows, columns = frame.ground_truth.present[:, joint], frame.predicted.present[:, joint]
        difference = frame.ground_truth.joints[rows, None, joint] - frame.predicted.joints[None, columns, joint]
        distance = np.hypot(difference[..., 0], difference[..., 1]) / frame.ground_truth.head_size[rows, None]
        similarity = np.maximum(0.0, 1.0 - distance / 0.5001)
        result.append(TrackFrame(frame.ground_truth.track_ids[rows], frame.predicted.track_ids[columns], similarity))
    return result
