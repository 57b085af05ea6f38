"""Stage track: ids for the predicted PoseTrack poses, and both submissions in PoseTrack18 form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_json, read_table, write_json, write_table
from poseline.config import Params, config_hash
from poseline.config.tracking import TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.images import read_image
from poseline.datasets.posetrack.annotations import frame_rows
from poseline.datasets.posetrack.files import PoseTrackSequence, compact_track_ids, read_folder, write_sequence
from poseline.datasets.predictions import pose_set
from poseline.datasets.read import annotation_path
from poseline.datasets.records import BBOX_COLUMNS
from poseline.datasets.sets import dataset_config
from poseline.infer.video import write_video
from poseline.track.base import index_only
from poseline.track.build import needs_pictures
from poseline.track.sequences import track_and_smooth


@dataclass(frozen=True, eq=False)
class Video:
    """A video of the data set.

    Attributes:
        sequence: its frames.
        image_ids: the frames' ids in the record tables.
        pictures: the frames' files.
    """

    sequence: PoseTrackSequence
    image_ids: tuple[int, ...]
    pictures: tuple[Path, ...]

    @property
    def frame_indices(self) -> list[int]:
        """Rising frame numbers; they may skip."""
        return [frame.frame_index for frame in self.sequence.frames]


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/tracks: tracked/ (MOTA submission), poses/ (mAP submission), tracks.parquet, about.json; counts.

    ``tracked`` holds the tracker's poses without keypoints below ``track.min_keypoint_score``; ``poses`` holds every
    predicted pose and keypoint. Ids count from 0 in each video, the same in the files, the table and the videos that
    ``track.video`` asks for.
    """
    config = dataset_config(params, "posetrack")
    about = read_json(layout.predictions / "posetrack/about.json", made_by="predict posetrack")
    if not about["enabled"]:
        with atomic_folder(layout.tracks) as folder:
            write_json(folder / "about.json", {"enabled": False})
        return {}
    table, header = read_table(layout.predictions / "posetrack/poses.parquet", kind="predictions", made_by="predict posetrack")
    skeleton = load_skeleton(header.skeleton)
    boxes = "ground_truth" if config.detections is None else "detections"
    poses = table[table["boxes"] == boxes]
    videos = list_videos(annotation_path(config, config.val.annotations), config.val.images)
    rows: list[pd.DataFrame] = []
    with atomic_folder(layout.tracks) as folder:
        for video in videos:
            name, predicted = video.sequence.name, frame_poses(video, poses, skeleton)
            submission, tracked = submit(video.sequence, track_poses(params.track, video, predicted, skeleton), params.track)
            write_sequence(folder / "poses" / f"{name}.json", pose_submission(video.sequence, predicted))
            write_sequence(folder / "tracked" / f"{name}.json", submission)
            rows.append(tracked_rows(video, tracked))
            if params.track.video:
                write_video(folder / "videos" / f"{name}.mp4", tracked, map(read_image, video.pictures), skeleton)
        tracks = pd.concat(rows, ignore_index=True)
        write_table(folder / "tracks.parquet", tracks, TableHeader("tracks", skeleton.name, config_hash(params.track), header.source_hash))
        write_json(folder / "about.json", {**about, "boxes": boxes, "tracker": params.track.kind})
    return {"videos": len(videos), "poses": len(tracks), "tracks": len(tracks[["video_id", "track_id"]].drop_duplicates())}


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


def frame_poses(video: Video, poses: pd.DataFrame, skeleton: Skeleton) -> list[PoseSet]:
    """The predicted poses of each frame."""
    by_image = dict(list(poses.groupby("image_id")))
    empty = PoseSet.empty(skeleton.num_keypoints)
    return [pose_set(by_image[image], skeleton.num_keypoints) if image in by_image else empty for image in video.image_ids]


def track_poses(config: TrackConfig, video: Video, predicted: Sequence[PoseSet], skeleton: Skeleton) -> list[PoseSet]:
    """The tracked (and, where asked for, smoothed) poses of one video; pictures are read where the tracker looks at them."""
    look = needs_pictures(config)

    def frames() -> Iterator[Frame]:
        for index, path in zip(video.frame_indices, video.pictures, strict=True):
            yield Frame(read_image(path), index) if look else index_only(index)

    return track_and_smooth(config, skeleton, predicted, frame_indices=video.frame_indices, frames=frames())


def pose_submission(sequence: PoseTrackSequence, predicted: Sequence[PoseSet]) -> PoseTrackSequence:
    """Every predicted pose, with running numbers for ids: AP does not look at them."""
    frames = [
        frame.with_people(poses.with_track_ids(np.arange(len(poses)))) for frame, poses in zip(sequence.frames, predicted, strict=True)
    ]
    return replace(sequence, frames=tuple(frames))


def submit(sequence: PoseTrackSequence, tracked: Sequence[PoseSet], config: TrackConfig) -> tuple[PoseTrackSequence, list[PoseSet]]:
    """The tracked poses without their unsure keypoints as a submission, and all of them under its ids (0, 1, ... by appearance)."""

    def sure(poses: PoseSet) -> PoseSet:
        shown = (poses.keypoint_scores >= config.min_keypoint_score) & (poses.visibility > 0)
        return replace(poses, visibility=np.where(shown, 2, 0).astype(np.uint8))

    frames = [frame.with_people(sure(poses)) for frame, poses in zip(sequence.frames, tracked, strict=True)]
    submission = compact_track_ids(replace(sequence, frames=tuple(frames)))
    renamed = [poses.with_track_ids(frame.people.track_ids) for poses, frame in zip(tracked, submission.frames, strict=True)]
    return submission, renamed


def tracked_rows(video: Video, tracked: Sequence[PoseSet]) -> pd.DataFrame:
    """The tracked poses of a video as table rows."""
    parts = []
    for index, image_id, poses in zip(video.frame_indices, video.image_ids, tracked, strict=True):
        columns = {
            "video_id": video.sequence.name, "frame_index": np.int32(index), "image_id": np.int64(image_id), "track_id": poses.track_ids,
            **{column: poses.bbox_xyxy[:, i] for i, column in enumerate(BBOX_COLUMNS)}, "bbox_score": poses.bbox_scores,
            "keypoints": list(poses.keypoints.reshape(len(poses), 2 * poses.num_keypoints)), "keypoint_scores": list(poses.keypoint_scores),
            "pose_score": poses.pose_scores,
        }  # fmt: skip
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
