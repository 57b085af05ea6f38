"""PoseTrack metrics of videos, and who is followed by which track in each frame."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from poseline.datasets.posetrack.frames import check_names, pose_frames, scored_frames
from poseline.datasets.posetrack.video import PoseTrackSequence
from poseline.metrics.hota import HotaScore
from poseline.metrics.posetrack import PoseTrackScore, score_frames
from poseline.metrics.posetrack_frames import PoseTrackMode
from poseline.metrics.tracking_score import TrackingScore, score_track_frames
from poseline.metrics.tracking_score import score_keypoint_hota as score_joint_frames

Sequences = Mapping[str, PoseTrackSequence]


def score_posetrack(ground_truth: Sequences, predicted: Sequences, *, mode: PoseTrackMode = "poseval") -> PoseTrackScore:
    """The PoseTrack metrics of predicted videos; see :func:`poseline.metrics.posetrack.score_frames`.

    Raises:
        DataError: videos or frames differ, a person lacks a head box or track id, or nothing is annotated.
    """
    check_names(ground_truth, predicted)
    return score_frames({name: scored_frames(own, predicted[name], mode) for name, own in ground_truth.items()}, mode=mode)


def score_pose_tracking(ground_truth: Sequences, predicted: Sequences, *, threshold: float = 0.5) -> TrackingScore:
    """Track metrics of PoseTrack videos on OKS; a pair counts for identity and CLEAR at OKS >= threshold.

    Raises:
        DataError: videos or frames differ, or people lack track ids.
    """
    check_names(ground_truth, predicted)
    return score_track_frames({name: pose_frames(own, predicted[name]) for name, own in ground_truth.items()}, threshold=threshold)


def score_keypoint_hota(ground_truth: Sequences, predicted: Sequences) -> tuple[HotaScore, dict[str, HotaScore]]:
    """PoseTrack21's keypoint HOTA: in total, and of each joint.

    Raises:
        DataError: videos or frames differ, a person lacks a head box or track id.
    """
    check_names(ground_truth, predicted)
    return score_joint_frames({name: scored_frames(own, predicted[name], "strict") for name, own in ground_truth.items()})


def list_followed(ground_truth: Sequences, predicted: Sequences, people: TrackingScore) -> pd.DataFrame:
    """Which track follows whom: a row for every scored person in every frame (video, frame number, ids on both sides, OKS).

    ``track_id`` is -1 where no track follows; ``previous_id`` is the track before, where this is a switch, else -1.
    """
    names = list(ground_truth)
    numbers = {name: [frame.frame_index for frame in scored_frames(ground_truth[name], predicted[name], "strict")] for name in names}
    rows = [
        (names[video], numbers[names[video]][match.frame], match.ground_truth_id, match.predicted_id, 1 - match.distance, match.previous_id)
        for video, match in people.tracks.matches
    ]
    rows += [(names[video], numbers[names[video]][frame], person, -1, 0.0, None) for video, frame, person in people.tracks.missed]
    table = pd.DataFrame(rows, columns=["video_id", "frame_index", "person", "track_id", "oks", "previous_id"])
    kinds = {"frame_index": "int64", "person": "int64", "track_id": "int64", "oks": "float32", "previous_id": "int64"}
    table = table.fillna({"previous_id": -1}).astype(kinds)
    return table.sort_values(["video_id", "frame_index", "person"], ignore_index=True)
