"""What is done to the tracks after a whole clip: their parts joined anew, gaps filled, and smoothing that looks ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from poseline.artifacts import atomic_file
from poseline.config.tracking import TrackConfig
from poseline.core.poses import PoseSet
from poseline.pose.options import PoseOptions
from poseline.pose.records import FrameRecord, read_records
from poseline.pose.resume import PoseLog
from poseline.track.gaps import fill_gaps
from poseline.track.offline import join_offline
from poseline.track.smoothing import is_offline, smooth_tracks

REVISED_NAME = ".poses.revised.jsonl"


def revise_poses(options: PoseOptions, num_keypoints: int, log: PoseLog) -> None:
    """Replace poses.jsonl by its revised form, where the options ask for it; the poses of one source are held in memory.

    Killed at any moment, it can be done again: the revised file is whole before the run's phase says that it takes the other's place.

    Raises:
        ArtifactError: a file cannot be written.
    """
    config, progress = options.track, log.progress
    if config is None or not (options.fill_gaps or config.offline.enabled or is_offline(config.smoothing)):
        return
    revised = log.path.with_name(REVISED_NAME)
    if progress.phase == "poses":
        log.save({})
        records = read_records(log.path, num_keypoints)
        people, tracks = write_records(revised, revise(records, config, max_gap=options.fill_gaps, stride=options.window.stride))
        progress.phase, progress.people, progress.num_bytes = "rewrite", people, revised.stat().st_size
        progress.tracks = tracks if config.offline.enabled else progress.tracks
        log.save({})
    if revised.is_file():
        log.replace_by(revised)


def revise(records: Iterable[FrameRecord], config: TrackConfig, *, max_gap: int, stride: int) -> Iterator[FrameRecord]:
    """The frames of all sources with tracks joined anew, gaps filled and keypoints smoothed."""
    for _, group in groupby(records, key=lambda record: record.source):
        frames = list(group)
        steps = [record.frame_index // stride for record in frames]
        tracked = join_tracks(frames, config) if config.offline.enabled else [record.poses for record in frames]
        if max_gap:
            tracked, _ = fill_gaps(tracked, steps, max_gap=max_gap)
        flags = [np.arange(len(poses)) >= len(record.poses) for record, poses in zip(frames, tracked, strict=True)]
        if is_offline(config.smoothing):
            tracked = smooth_tracks(tracked, config.smoothing, steps)
        for record, poses, added in zip(frames, tracked, flags, strict=True):
            yield replace(record, poses=poses, interpolated=added)


def join_tracks(frames: Sequence[FrameRecord], config: TrackConfig) -> list[PoseSet]:
    """The poses of one source with ids of the whole clip, behind them those that fill short gaps; a pose without an id stays without."""
    times = [record.time_ms for record in frames if record.time_ms is not None]
    timed = len(times) == len(frames)
    rows = [np.flatnonzero(record.poses.track_ids > 0) for record in frames]
    joined = join_offline(
        [record.poses.select(own) for record, own in zip(frames, rows, strict=True)],
        [round(time) for time in times] if timed else [record.frame_index for record in frames],
        config.offline,
        frames_per_second=1000.0 if timed else config.frames_per_second,
    )
    merged = []
    for record, own, found in zip(frames, rows, joined, strict=True):
        ids = np.full(len(record.poses), -1, dtype=np.int64)
        ids[own] = found.track_ids[: len(own)]
        merged.append(PoseSet.concat([record.poses.with_track_ids(ids), found.select(slice(len(own), None))]))
    return merged


def write_records(path: Path, records: Iterable[FrameRecord]) -> tuple[int, int]:
    """The numbers of people and of tracks in the frames, after they were written."""
    people, tracks = 0, set[tuple[str, int]]()
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.to_line())
            people += len(record.poses)
            tracks |= {(record.source, track_id) for track_id in record.poses.track_ids.tolist() if track_id > 0}
    return people, len(tracks)
