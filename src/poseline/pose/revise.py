"""What is done to the tracks after a whole clip: gaps filled, and smoothing that looks ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from poseline.artifacts import atomic_file
from poseline.config.tracking import TrackConfig
from poseline.pose.options import PoseOptions
from poseline.pose.records import FrameRecord, read_records
from poseline.pose.resume import PoseLog
from poseline.track.gaps import fill_gaps
from poseline.track.smoothing import is_offline, smooth_tracks

REVISED_NAME = ".poses.revised.jsonl"


def revise_poses(options: PoseOptions, num_keypoints: int, log: PoseLog) -> None:
    """Replace poses.jsonl by its revised form, where the options ask for it; the poses of one source are held in memory.

    Killed at any moment, it can be done again: the revised file is whole before the run's phase says that it takes the other's place.

    Raises:
        ArtifactError: a file cannot be written.
    """
    config, progress = options.track, log.progress
    if config is None or (not options.fill_gaps and not is_offline(config.smoothing)):
        return
    revised = log.path.with_name(REVISED_NAME)
    if progress.phase == "poses":
        log.save({})
        records = read_records(log.path, num_keypoints)
        people = write_records(revised, revise(records, config, max_gap=options.fill_gaps, stride=options.window.stride))
        progress.phase, progress.people, progress.num_bytes = "rewrite", people, revised.stat().st_size
        log.save({})
    if revised.is_file():
        log.replace_by(revised)


def revise(records: Iterable[FrameRecord], config: TrackConfig, *, max_gap: int, stride: int) -> Iterator[FrameRecord]:
    """The frames of all sources with gaps filled and keypoints smoothed."""
    for _, group in groupby(records, key=lambda record: record.source):
        frames = list(group)
        steps = [record.frame_index // stride for record in frames]
        tracked = [record.poses for record in frames]
        flags = [np.zeros(len(poses), dtype=bool) for poses in tracked]
        if max_gap:
            tracked, flags = fill_gaps(tracked, steps, max_gap=max_gap)
        if is_offline(config.smoothing):
            tracked = smooth_tracks(tracked, config.smoothing, steps)
        for record, poses, added in zip(frames, tracked, flags, strict=True):
            yield replace(record, poses=poses, interpolated=added)


def write_records(path: Path, records: Iterable[FrameRecord]) -> int:
    """The number of people in the frames, after they were written."""
    people = 0
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.to_line())
            people += len(record.poses)
    return people
