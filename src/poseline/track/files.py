"""Tracking of official prediction files, apart from the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from poseline.config import load_params
from poseline.config.params import Yaml, apply_override, describe_validation_error
from poseline.config.renamed import find_renamed
from poseline.config.tracking import TrackConfig
from poseline.core.boxes import box_area
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.frame_order import count_steps
from poseline.datasets.posetrack.files import write_sequence
from poseline.datasets.sets import named_skeleton
from poseline.errors import ConfigError, DataError
from poseline.infer.video import write_video
from poseline.project import workspace_root
from poseline.track.build import track_video
from poseline.track.input_videos import open_videos
from poseline.track.videos import track_submission


def read_config(params: Path | None, overrides: Sequence[str]) -> TrackConfig:
    """Section ``track`` of a parameter file, by default the project's; of the defaults outside a project.

    Raises:
        ConfigError: a parameter that does not exist or a value out of its range.
    """
    path = params or workspace_root() / "params.yaml"
    return load_params(path, overrides).track if params is not None or path.is_file() else config_from_overrides(overrides)


def config_from_overrides(overrides: Sequence[str]) -> TrackConfig:
    """Section ``track`` of the defaults under overrides.

    Raises:
        ConfigError: a parameter that does not exist or a value out of its range.
    """
    raw: dict[str, Yaml] = {}
    for override in overrides:
        apply_override(raw, override)
    strange = sorted(set(raw) - {"track"})
    if strange:
        raise ConfigError(f"--set {strange[0]}: only track.KEY=VALUE can be set without a params.yaml.")
    if (renamed := find_renamed(raw)) is not None:
        raise ConfigError(f"--set {renamed}")
    try:
        return TrackConfig.model_validate(raw.get("track", {}))
    except ValidationError as error:
        raise ConfigError(f"track: {describe_validation_error(error)}") from None


def track_files(
    config: TrackConfig,
    predictions: Path,
    out: Path,
    *,
    frames: Path | None = None,
    skeleton: str = "coco17",
    report: Callable[[str], None] = lambda line: None,
    known_rate: bool = False,
) -> dict[str, int]:
    """Counts after writing ``out/<video>.json`` in PoseTrack18 result format for every video of the predictions.

    PoseTrack files (2017, 2018, 2021; a folder or one file) list their frames. Lists of poses in COCO's result format do not: the frames
    are the images given, or those that the list names. Frame numbers may skip; the trackers are told how many frames went by. Track ids
    of the input are ignored. A pose without any keypoint is tracked by its box; without a box it is left out.

    Args:
        config: the tracker. Without ``frames`` it goes by the poses alone.
        predictions: PoseTrack file or folder, or a list of poses.
        out: folder of the results; videos go to ``out/videos`` where ``config.video`` asks for them.
        frames: folder of images (of the one video, or holding the videos' folders), or the one video's file.
        skeleton: of a list of poses; PoseTrack files name theirs.
        report: receives a line a video: its frames and their step.
        known_rate: the configured frame rate goes before a video file's own.

    Raises:
        ConfigError: an unknown or broken skeleton.
        DataError: a file is missing or not in its format, frames are out of order, or a frame has no image.
        BackendError: mp4 cannot be written here.
    """
    if out.resolve() in (predictions.resolve(), predictions.resolve().parent):
        raise DataError(f"{out}: the results would lie among the predictions. Give --out another folder.")
    if config.video and frames is None:
        raise DataError("track.video: no images to draw on. Give --frames DIR or --frames VIDEO.")
    counts = {"videos": 0, "frames": 0, "poses": 0, "tracks": 0, "left_out": 0}
    posetrack = load_skeleton("posetrack17")
    for video in open_videos(predictions, frames, named_skeleton(skeleton, key="--skeleton")):
        report(video.describe())
        kept = [poses.select(np.flatnonzero(_usable(poses))) for poses in video.poses]
        indices = [frame.frame_index for frame in video.sequence.frames]
        images = None if video.open_images is None else video.open_images()
        rate = config.frames_per_second if known_rate or video.frames_per_second is None else video.frames_per_second
        timed = config.model_copy(update={"frames_per_second": rate})
        tracked = track_video(timed, video.skeleton, kept, frame_indices=count_steps(indices), images=images)
        tracked = [poses.convert(video.skeleton, posetrack) for poses in tracked]
        submission, renamed = track_submission(video.sequence, tracked, min_keypoint_score=config.min_keypoint_score)
        write_sequence(out / f"{submission.name}.json", submission)
        if config.video and video.open_images is not None:
            write_video(out / "videos" / f"{submission.name}.mp4", renamed, video.open_images(), posetrack)
        ids = np.concatenate([poses.track_ids for poses in renamed])
        counts["videos"] += 1
        counts["frames"] += len(indices)
        counts["poses"] += len(ids)
        counts["tracks"] += len(np.unique(ids))
        counts["left_out"] += sum(map(len, video.poses)) - len(ids)
    return counts


def _usable(poses: PoseSet) -> np.ndarray:
    return np.asarray((poses.visibility > 0).any(axis=1) | (box_area(poses.bbox_xyxy) > 0))
