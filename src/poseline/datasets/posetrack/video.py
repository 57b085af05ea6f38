"""PoseTrack videos in memory: one shape for the 2017, 2018 and 2021 forms.

Keypoints are in the order of skeleton ``posetrack17``. The exact float64 numbers of a file travel beside the float32 pose set,
because the protocol's figures are compared to 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton

PoseTrackForm: TypeAlias = Literal["2017", "2018", "2021"]

MISSING_SCORE = -9999.0
MAX_TRACK_ID = 10_000
SLOTS = load_skeleton("posetrack17").keypoints
JOINTS = load_skeleton("posetrack15").keypoints


@dataclass(frozen=True, eq=False)
class PoseTrackFrame:
    """One frame of a sequence.

    Attributes:
        image_id: the file's id.
        file_name: image path as the file gives it.
        frame_index: the frame's number (see :mod:`poseline.datasets.frame_order`).
        is_labeled: whether the truth says anything about this frame.
        ignore_regions: polygons [P, 2] in pixels, in which nothing is scored.
        people: poses of skeleton posetrack17; visibility 0 = not annotated.
        head_xyxy: float64 [N, 4] pixels; -1 where unknown.
        exact_keypoints: float64 [N, 17, 2], the file's own numbers; the pose set's where none were given.
        exact_scores: float64 [N, 17]; -9999 where the file has no score, as the protocol fills it.

    Raises:
        ValueError: arrays whose shapes do not agree.
    """

    image_id: int
    file_name: str
    frame_index: int
    is_labeled: bool
    ignore_regions: tuple[Float[np.ndarray, "_ 2"], ...]
    people: PoseSet
    head_xyxy: Float[np.ndarray, "N 4"]
    exact_keypoints: Float[np.ndarray, "N 17 2"] = None  # type: ignore[assignment]
    exact_scores: Float[np.ndarray, "N 17"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        count, slots = len(self.people), len(SLOTS)
        if self.people.num_keypoints != slots:
            raise ValueError(f"{self.file_name}: expected poses of {slots} keypoints, got {self.people.num_keypoints}")
        keypoints = self.people.keypoints if self.exact_keypoints is None else self.exact_keypoints
        scores = self.people.keypoint_scores if self.exact_scores is None else self.exact_scores
        object.__setattr__(self, "head_xyxy", np.asarray(self.head_xyxy, dtype=np.float64).reshape(count, 4))
        object.__setattr__(self, "exact_keypoints", np.asarray(keypoints, dtype=np.float64).reshape(count, slots, 2))
        object.__setattr__(self, "exact_scores", np.asarray(scores, dtype=np.float64).reshape(count, slots))

    def with_people(self, people: PoseSet) -> PoseTrackFrame:
        """The same image with other poses (no head boxes), e.g. a tracker's."""
        return PoseTrackFrame(
            self.image_id, self.file_name, self.frame_index, self.is_labeled, self.ignore_regions, people, np.full((len(people), 4), -1.0)
        )


@dataclass(frozen=True, eq=False)
class PoseTrackSequence:
    """One video: its name (the file's stem) and its frames in time order.

    Attributes:
        name: e.g. ``000522_mpii_test``.
        frames: by rising frame_index.
        form: the form it was read from; the protocol drops people without points in the 2017 form only.
    """

    name: str
    frames: tuple[PoseTrackFrame, ...]
    form: PoseTrackForm = "2018"


def compact_track_ids(sequence: PoseTrackSequence) -> PoseTrackSequence:
    """The same video with its ids renumbered 0, 1, ... by first appearance, e.g. when a tracker passed 10,000; -1 stays."""
    numbers: dict[int, int] = {-1: -1}
    for frame in sequence.frames:
        for track_id in frame.people.track_ids.tolist():
            numbers.setdefault(track_id, len(numbers) - 1)
    return replace(sequence, frames=tuple(
        replace(frame, people=frame.people.with_track_ids(np.array([numbers[i] for i in frame.people.track_ids.tolist()], dtype=np.int64)))
        for frame in sequence.frames
    ))
