"""Stage track: ids for the predicted PoseTrack poses, and both submissions in PoseTrack18 form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_json, read_table, write_json, write_table
from poseline.config import Params, config_hash
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.core.types import Frame, PoseSet
from poseline.data.images import read_image
from poseline.data.posetrack_files import PoseTrackSequence, compact_track_ids, read_folder, write_sequence
from poseline.data.predictions import pose_set
from poseline.data.read import annotation_path
from poseline.data.records import BBOX_COLUMNS
from poseline.stages.datasets import dataset_config
from poseline.track.build import build_tracker
from poseline.track.sequences import track_sequence
from poseline.track.smoothing import smooth_tracks


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/tracks: tracked/ (MOTA submission), poses/ (mAP submission), tracks.parquet, about.json; counts.

    ``tracked`` holds the tracker's poses without keypoints below ``track.min_keypoint_score``; ``poses`` holds every
    predicted pose and keypoint.
    """
    config = dataset_config(params, "posetrack")
    about = read_json(layout.predictions / "posetrack/about.json", made_by="predict posetrack")
    if not about["enabled"]:
        with atomic_folder(layout.tracks) as folder:
            write_json(folder / "about.json", {"enabled": False})
        return {}
    table, header = read_table(layout.predictions / "posetrack/poses.parquet", kind="predictions", made_by="predict posetrack")
    skeleton = load_skeleton(header.skeleton)
    boxes = "detections" if (table["boxes"] == "detections").any() else "ground_truth"
    poses = table[table["boxes"] == boxes]
    truth = read_folder(annotation_path(config, config.val.annotations))
    rows: list[pd.DataFrame] = []
    with atomic_folder(layout.tracks) as folder:
        for name, sequence in truth.items():
            predicted = frame_poses(sequence, poses, skeleton)
            tracked = track_video(params, sequence, predicted, config.val.images, skeleton)
            write_sequence(folder / "poses" / f"{name}.json", pose_submission(sequence, predicted))
            write_sequence(folder / "tracked" / f"{name}.json", track_submission(sequence, tracked, params.track.min_keypoint_score))
            rows.append(tracked_rows(name, sequence, tracked))
        tracks = pd.concat(rows, ignore_index=True)
        write_table(folder / "tracks.parquet", tracks, TableHeader("tracks", skeleton.name, config_hash(params.track), header.source_hash))
        write_json(folder / "about.json", {**about, "boxes": boxes, "tracker": params.track.kind})
    return {"videos": len(truth), "poses": len(tracks), "tracks": len(tracks[["video_id", "track_id"]].drop_duplicates())}


def frame_poses(sequence: PoseTrackSequence, poses: pd.DataFrame, skeleton: Skeleton) -> list[PoseSet]:
    """The predicted poses of each frame."""
    by_image = dict(list(poses.groupby("image_id")))
    empty = PoseSet.empty(skeleton.num_keypoints)
    return [
        pose_set(by_image[frame.image_id], skeleton.num_keypoints) if frame.image_id in by_image else empty for frame in sequence.frames
    ]


def track_video(
    params: Params, sequence: PoseTrackSequence, predicted: list[PoseSet], images: Path, skeleton: Skeleton
) -> list[PoseSet]:
    """The tracked (and, where asked for, smoothed) poses of one video."""

    def frames() -> Iterator[Frame]:
        for position, frame in enumerate(sequence.frames):
            yield Frame(read_image(images / frame.file_name), position, frame.image_id)

    tracked = track_sequence(build_tracker(params.track, skeleton), predicted, frames())
    return smooth_tracks(tracked, params.track.smoothing)


def pose_submission(sequence: PoseTrackSequence, predicted: list[PoseSet]) -> PoseTrackSequence:
    """Every predicted pose, with running numbers for ids: AP does not look at them."""
    frames = [
        frame.with_people(poses.with_track_ids(np.arange(len(poses)))) for frame, poses in zip(sequence.frames, predicted, strict=True)
    ]
    return replace(sequence, frames=tuple(frames))


def track_submission(sequence: PoseTrackSequence, tracked: list[PoseSet], min_keypoint_score: float) -> PoseTrackSequence:
    """The tracked poses without their unsure keypoints."""

    def sure(poses: PoseSet) -> PoseSet:
        return replace(poses, visibility=np.where(poses.keypoint_scores >= min_keypoint_score, 2, 0).astype(np.uint8))

    frames = [frame.with_people(sure(poses)) for frame, poses in zip(sequence.frames, tracked, strict=True)]
    return compact_track_ids(replace(sequence, frames=tuple(frames)))


def tracked_rows(name: str, sequence: PoseTrackSequence, tracked: list[PoseSet]) -> pd.DataFrame:
    """The tracked poses of a video as table rows."""
    parts = []
    for position, (frame, poses) in enumerate(zip(sequence.frames, tracked, strict=True)):
        columns = {column: poses.bbox_xyxy[:, i] for i, column in enumerate(BBOX_COLUMNS)}
        parts.append(
            pd.DataFrame(
                {
                    "video_id": name,
                    "frame_index": np.int32(position),
                    "image_id": np.int64(frame.image_id),
                    "track_id": poses.track_ids,
                    **columns,
                    "bbox_score": poses.bbox_scores,
                    "keypoints": list(poses.keypoints.reshape(len(poses), -1)),
                    "keypoint_scores": list(poses.keypoint_scores),
                    "pose_score": poses.pose_scores,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
