"""A whole video through a tracker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from poseline.core.types import Frame, PoseSet
from poseline.errors import DataError
from poseline.track.base import Tracker


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
