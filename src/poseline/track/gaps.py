"""Gaps in tracks, filled by interpolation after the whole clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from jaxtyping import Bool

from poseline.core.poses import PoseSet


def fill_gaps(
    tracked: Sequence[PoseSet], frame_indices: Sequence[int], *, max_gap: int
) -> tuple[list[PoseSet], list[Bool[np.ndarray, " _"]]]:
    """The frames of one video with the poses of short gaps added behind the others, and which of the poses of each frame these are.

    A gap is a stretch of at most ``max_gap`` frames in which a track is not seen, between two in which it is. Keypoints, boxes and area lie
    on the line between the two; scores are the lower of both; a keypoint that is missing at either end is missing between.

    Args:
        tracked: poses with track ids, frame by frame.
        frame_indices: rising frame numbers.
        max_gap: frames, also those that are not in the video's list.
    """
    added: list[list[PoseSet]] = [[] for _ in tracked]
    last: dict[int, tuple[int, int]] = {}
    for frame, poses in enumerate(tracked):
        for row, track_id in enumerate(poses.track_ids.tolist()):
            if track_id <= 0:
                continue
            before, row_before = last.get(track_id, (frame, row))
            last[track_id] = (frame, row)
            if frame - before < 2 or frame_indices[frame] - frame_indices[before] - 1 > max_gap:
                continue
            start, end = tracked[before].select(np.array([row_before])), poses.select(np.array([row]))
            span = frame_indices[frame] - frame_indices[before]
            for between in range(before + 1, frame):
                added[between].append(interpolate(start, end, (frame_indices[between] - frame_indices[before]) / span))
    filled = [PoseSet.concat([poses, *more]) if more else poses for poses, more in zip(tracked, added, strict=True)]
    flags = [np.arange(len(new)) >= len(old) for new, old in zip(filled, tracked, strict=True)]
    return filled, flags


def interpolate(start: PoseSet, end: PoseSet, fraction: float) -> PoseSet:
    """The poses between two sets of the same people; ``fraction`` 0 is the first, 1 the second."""
    values = {}
    for entry in fields(PoseSet):
        first, second = getattr(start, entry.name), getattr(end, entry.name)
        if entry.name in ("keypoints", "bbox_xyxy", "area"):
            values[entry.name] = (1 - fraction) * first + fraction * second
        else:
            values[entry.name] = np.minimum(first, second)
    return PoseSet(**values)
