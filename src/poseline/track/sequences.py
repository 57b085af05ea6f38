"""A whole video through a tracker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from poseline.config.tracking import TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import DataError
from poseline.track.base import Tracker
from poseline.track.build import build_tracker
from poseline.track.smoothing import smooth_tracks


def track_sequence(tracker: Tracker, poses_per_frame: Sequence[PoseSet], frames: Iterable[Frame] | None = None) -> list[PoseSet]:
    """The tracked poses of each frame, in order; ``frames`` are read one at a time.

    Raises:
        DataError: fewer or more frames than sets of poses, or frames out of order.
    """
    if frames is None:
        return [tracker.update(poses) for poses in poses_per_frame]
    tracked: list[PoseSet] = []
    for frame in frames:
        if len(tracked) == len(poses_per_frame):
            raise DataError(f"more frames than the {len(poses_per_frame)} sets of poses. Give one set (empty where nobody is) a frame.")
        tracked.append(tracker.update(poses_per_frame[len(tracked)], frame))
    if len(tracked) < len(poses_per_frame):
        raise DataError(f"{len(tracked)} frames for {len(poses_per_frame)} sets of poses. Give every frame, or none.")
    return tracked


def track_and_smooth(
    config: TrackConfig, skeleton: Skeleton, poses_per_frame: Sequence[PoseSet], *, frame_indices: Sequence[int], frames: Iterable[Frame]
) -> list[PoseSet]:
    """The tracked and, where asked for, smoothed poses of one video.

    Args:
        config: which tracker, and how to smooth.
        skeleton: of the poses.
        poses_per_frame: one set a frame, empty where nobody is.
        frame_indices: rising frame numbers; they may skip.
        frames: the same frames for the tracker (``index_only`` where there is no picture), read one at a time.

    Raises:
        DataError: frames out of order, or not as many as sets of poses.
    """
    tracked = track_sequence(build_tracker(config, skeleton), poses_per_frame, frames)
    return smooth_tracks(tracked, config.smoothing, frame_indices)
