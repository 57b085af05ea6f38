"""What the PoseTrack metrics are computed from: the people of both sides of a frame, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

PoseTrackMode: TypeAlias = Literal["poseval", "strict"]


@dataclass(frozen=True, eq=False)
class ScoredPeople:
    """One side of a frame.

    Attributes:
        joints: [N, 15, 2] float64 px.
        present: [N, 15] which joints count.
        scores: [N, 15].
        track_ids: [N].
        head_size: [N] px; of no use on the predicted side.
        box_area: [N] px².
    """

    joints: Float[np.ndarray, "N J 2"]
    present: Bool[np.ndarray, "N J"]
    scores: Float[np.ndarray, "N J"]
    track_ids: Int[np.ndarray, " N"]
    head_size: Float[np.ndarray, " N"]
    box_area: Float[np.ndarray, " N"]

    def keep(self, index: Bool[np.ndarray, " N"]) -> ScoredPeople:
        """The people under this mask."""
        return ScoredPeople(
            self.joints[index], self.present[index], self.scores[index], self.track_ids[index], self.head_size[index], self.box_area[index]
        )

    def with_points(self) -> ScoredPeople:
        """The people who have any joint that counts."""
        return self.keep(self.present.sum(axis=1) > 0)


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """Ground truth and prediction of one frame after the clean-up; ``frame_index`` is the ground truth file's."""

    frame_index: int
    ground_truth: ScoredPeople
    predicted: ScoredPeople
