"""Poses of a video as submissions to the PoseTrack benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poseline.config.tracking import TrackConfig
from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.files import PoseTrackSequence, compact_track_ids


def pose_submission(sequence: PoseTrackSequence, predicted: Sequence[PoseSet]) -> PoseTrackSequence:
    """Every predicted pose for mAP, which does not look at track ids: they are running numbers."""
    frames = [
        frame.with_people(poses.with_track_ids(np.arange(len(poses)))) for frame, poses in zip(sequence.frames, predicted, strict=True)
    ]
    return replace(sequence, frames=tuple(frames))


def track_submission(
    sequence: PoseTrackSequence, tracked: Sequence[PoseSet], config: TrackConfig
) -> tuple[PoseTrackSequence, list[PoseSet]]:
    """The tracked poses without keypoints of low score for MOTA, and all of them under its ids (0, 1, ... by appearance)."""

    def confident(poses: PoseSet) -> PoseSet:
        shown = (poses.keypoint_scores >= config.min_keypoint_score) & (poses.visibility > 0)
        return replace(poses, visibility=np.where(shown, 2, 0).astype(np.uint8))

    frames = [frame.with_people(confident(poses)) for frame, poses in zip(sequence.frames, tracked, strict=True)]
    submission = compact_track_ids(replace(sequence, frames=tuple(frames)))
    renamed = [poses.with_track_ids(frame.people.track_ids) for poses, frame in zip(tracked, submission.frames, strict=True)]
    return submission, renamed
