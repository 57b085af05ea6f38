"""The videos of a data set: their predicted poses, their tracks as a table, and both as submissions to the PoseTrack benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.core.poses import PoseSet
from poseline.datasets.frame_order import count_steps
from poseline.datasets.images import read_image
from poseline.datasets.posetrack.annotations import frame_rows
from poseline.datasets.posetrack.files import PoseTrackSequence, compact_track_ids, read_folder
from poseline.infer.draw import Image


@dataclass(frozen=True, eq=False)
class Video:
    """A video of the data set.

    Attributes:
        sequence: its frames.
        image_ids: the frames' ids in the tables.
        images: the frames' files.
    """

    sequence: PoseTrackSequence
    image_ids: tuple[int, ...]
    images: tuple[Path, ...]

    @property
    def frame_indices(self) -> list[int]:
        """Rising frame numbers; they may skip."""
        return [frame.frame_index for frame in self.sequence.frames]

    @property
    def frame_times(self) -> list[int]:
        """The frame numbers in units of their usual step, as trackers count time."""
        return count_steps(self.frame_indices)

    def read_images(self) -> Iterator[Image]:
        """The frames' RGB images, one at a time."""
        return map(read_image, self.images)


def list_videos(annotations: Path, images: Path) -> list[Video]:
    """The videos of a PoseTrack folder by name.

    Raises:
        DataError: a missing or broken file.
    """
    sequences = read_folder(annotations)
    rows = frame_rows(sequences, images)
    videos = []
    for sequence in sequences.values():
        own, rows = rows[: len(sequence.frames)], rows[len(sequence.frames) :]
        videos.append(Video(sequence, tuple(row.image_id for row in own), tuple(row.path for row in own)))
    return videos


def frame_poses(video: Video, poses: PoseTable) -> list[PoseSet]:
    """The predicted poses of each frame."""
    by_image = {image: part.poses for image, part in poses.select(poses.rows["image_id"].isin(video.image_ids)).groups("image_id")}
    empty = PoseSet.empty(poses.poses.num_keypoints)
    return [by_image.get(image, empty) for image in video.image_ids]


def tabulate_tracks(video: Video, tracked: Sequence[PoseSet], *, num_keypoints: int) -> PoseTable:
    """The tracked poses of a video as one table: video_id, frame_index and image_id of each."""
    counts = [len(poses) for poses in tracked]
    rows = {
        "video_id": [video.sequence.name] * sum(counts),
        "frame_index": np.repeat(np.asarray(video.frame_indices, dtype=np.int64), counts),
        "image_id": np.repeat(np.asarray(video.image_ids, dtype=np.int64), counts),
    }
    return PoseTable(pd.DataFrame(rows), PoseSet.concat([*tracked, PoseSet.empty(num_keypoints)]))


def pose_submission(sequence: PoseTrackSequence, predicted: Sequence[PoseSet]) -> PoseTrackSequence:
    """Every predicted pose, for mAP, which ignores track ids: they are running numbers."""
    frames = [
        frame.with_people(poses.with_track_ids(np.arange(len(poses)))) for frame, poses in zip(sequence.frames, predicted, strict=True)
    ]
    return replace(sequence, frames=tuple(frames))


def track_submission(
    sequence: PoseTrackSequence, tracked: Sequence[PoseSet], *, min_keypoint_score: float
) -> tuple[PoseTrackSequence, list[PoseSet]]:
    """The tracked poses without keypoints of low score, for MOTA, and all of them under its ids (0, 1, ... by first appearance)."""

    def confident(poses: PoseSet) -> PoseSet:
        shown = (poses.keypoint_scores >= min_keypoint_score) & (poses.visibility > 0)
        return replace(poses, visibility=np.where(shown, 2, 0).astype(np.uint8))

    frames = [frame.with_people(confident(poses)) for frame, poses in zip(sequence.frames, tracked, strict=True)]
    submission = compact_track_ids(replace(sequence, frames=tuple(frames)))
    renamed = [poses.with_track_ids(frame.people.track_ids) for poses, frame in zip(tracked, submission.frames, strict=True)]
    return submission, renamed
