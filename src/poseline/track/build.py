"""A tracker of the configured kind, and a whole video through it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8

from poseline.config.base import Section
from poseline.config.tracking import TRACKERS, TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import BackendError, DataError
from poseline.track.base import Tracker, index_only
from poseline.track.offline import join_offline
from poseline.track.smoothing import smooth_tracks


def tracker_class(kind: str) -> type[Tracker[Section]]:
    """The tracker of this kind.

    Raises:
        ConfigError: there is no such kind.
        BackendError: another package offers it, but it is no :class:`Tracker`.
    """
    found = TRACKERS.load(kind)
    if not isinstance(found, type) or not issubclass(found, Tracker):
        raise BackendError(f"track.kind: '{kind}' is {found!r}, expected a subclass of poseline.track.base.Tracker. Fix its entry point.")
    return found


def build_tracker(config: TrackConfig, skeleton: Skeleton) -> Tracker[Section]:
    """A new tracker for one video. Trackers share nothing.

    Raises:
        ConfigError: parameters that do not fit the skeleton.
        BackendError: a configured network cannot be loaded.
    """
    tracker = tracker_class(config.kind)(config.options, skeleton, min_pose_score=config.min_pose_score)
    tracker.frames_per_second = config.frames_per_second
    return tracker


def reads_images(config: TrackConfig) -> bool:
    """Whether the configured tracker uses the frames' pixels."""
    return tracker_class(config.kind).reads_images(config.options)


def track_video(
    config: TrackConfig,
    skeleton: Skeleton,
    poses_per_frame: Sequence[PoseSet],
    *,
    frame_indices: Sequence[int],
    images: Iterable[UInt8[np.ndarray, "_ _ 3"]] | None = None,
) -> list[PoseSet]:
    """The tracked and, where configured, smoothed poses of one video.

    Args:
        config: which tracker, and how to smooth.
        skeleton: of the poses.
        poses_per_frame: one set a frame, empty where nobody is.
        frame_indices: rising frame numbers in the tracker's unit of time (``frame_order.count_steps``); they may skip.
        images: the same frames' RGB images, read one at a time and only where the tracker uses them; None where there are none.

    Raises:
        DataError: frames out of order, or not as many as sets of poses.
    """
    frames: Iterable[Frame] = map(index_only, frame_indices)
    if images is not None and reads_images(config):
        frames = (Frame(image, index) for image, index in zip(images, frame_indices, strict=True))
    tracker, late = build_tracker(config, skeleton), list[tuple[int, PoseSet]]()
    tracked = track_frames(tracker, poses_per_frame, frames, late=late)
    tracked = _with_late(tracked, late, frame_indices)
    if config.offline.enabled:
        tracked = join_offline(tracked, frame_indices, config.offline, frames_per_second=config.frames_per_second)
    return smooth_tracks(tracked, config.smoothing, frame_indices)


def _with_late(tracked: Sequence[PoseSet], late: Sequence[tuple[int, PoseSet]], frame_indices: Sequence[int]) -> list[PoseSet]:
    """The frames with the poses whose tracks were recognised later, after the others of their frame."""
    added: dict[int, list[PoseSet]] = {}
    for frame_index, poses in late:
        added.setdefault(frame_index, []).append(poses)
    return [PoseSet.concat([poses, *added.get(index, [])]) for index, poses in zip(frame_indices, tracked, strict=True)]


def track_frames(
    tracker: Tracker[Section],
    poses_per_frame: Sequence[PoseSet],
    frames: Iterable[Frame] | None = None,
    *,
    late: list[tuple[int, PoseSet]] | None = None,
) -> list[PoseSet]:
    """The poses as a live stream shows them, in order; ``frames`` are read one at a time, and ``late`` takes what was recognised later.

    Raises:
        DataError: fewer or more frames than sets of poses, or frames out of order.
    """
    if frames is None:
        return [_update(tracker, poses, None, late) for poses in poses_per_frame]
    tracked: list[PoseSet] = []
    for frame in frames:
        if len(tracked) == len(poses_per_frame):
            raise DataError(f"more frames than the {len(poses_per_frame)} sets of poses. Give one set (empty where nobody is) a frame.")
        tracked.append(_update(tracker, poses_per_frame[len(tracked)], frame, late))
    if len(tracked) < len(poses_per_frame):
        raise DataError(f"{len(tracked)} frames for {len(poses_per_frame)} sets of poses. Give every frame, or none.")
    return tracked


def _update(tracker: Tracker[Section], poses: PoseSet, frame: Frame | None, late: list[tuple[int, PoseSet]] | None) -> PoseSet:
    tracked = tracker.update(poses, frame)
    if late is not None:
        late += tracker.late()
    return tracked
