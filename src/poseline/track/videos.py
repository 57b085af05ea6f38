"""The videos of a data set with their predicted poses, tracked one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.config.tracking import TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.datasets.images import read_image
from poseline.datasets.posetrack.annotations import frame_rows
from poseline.datasets.posetrack.files import PoseTrackSequence, read_folder
from poseline.track.base import index_only
from poseline.track.build import needs_pictures
from poseline.track.sequences import track_and_smooth


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


def track_poses(config: TrackConfig, video: Video, predicted: Sequence[PoseSet], skeleton: Skeleton) -> list[PoseSet]:
    """The tracked (and, where configured, smoothed) poses of one video; images are read only where the tracker uses them."""
    reads_images = needs_pictures(config)

    def frames() -> Iterator[Frame]:
        for index, path in zip(video.frame_indices, video.images, strict=True):
            yield Frame(read_image(path), index) if reads_images else index_only(index)

    return track_and_smooth(config, skeleton, predicted, frame_indices=video.frame_indices, frames=frames())


def tabulate_tracks(video: Video, tracked: Sequence[PoseSet], *, num_keypoints: int) -> PoseTable:
    """The tracked poses of a video as one table: video_id, frame_index and image_id of each."""
    counts = [len(poses) for poses in tracked]
    rows = {
        "video_id": [video.sequence.name] * sum(counts),
        "frame_index": np.repeat(np.asarray(video.frame_indices, dtype=np.int32), counts),
        "image_id": np.repeat(np.asarray(video.image_ids, dtype=np.int64), counts),
    }
    return PoseTable(pd.DataFrame(rows), PoseSet.concat([*tracked, PoseSet.empty(num_keypoints)]))
