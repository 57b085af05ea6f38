"""After the whole clip: tracks are cut at their gaps, the parts joined by one assignment over all of them, and short gaps filled.

Reference:
    Huang, Wu and Nevatia, Robust Object Tracking by Hierarchical Association of Detection Responses, ECCV 2008 (joining by assignment).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from poseline.config.tracking import OfflineConfig
from poseline.core.poses import PoseSet
from poseline.track.association import match_evidence

FIT_SECONDS = 0.5  # of a part's end that its velocity there is fitted to
DEGREES = 3.0  # of freedom of the t distribution of the residual
T_SCALE = 3.165  # logarithm of that distribution's norm in four dimensions
NOISE = 0.05  # of a sighting's place, person sizes


@dataclass(frozen=True, eq=False)
class Part:
    """An unbroken piece of one track.

    Attributes:
        frames: positions in the clip, rising.
        rows: row of the track in each of these frames.
        times: seconds.
        place: centre x and y, log width and log height.
    """

    frames: Int[np.ndarray, " S"]
    rows: Int[np.ndarray, " S"]
    times: Float[np.ndarray, " S"]
    place: Float[np.ndarray, "S 4"]

    def select(self, index: np.ndarray) -> Part:
        """Some sightings."""
        return Part(self.frames[index], self.rows[index], self.times[index], self.place[index])

    @classmethod
    def concat(cls, parts: Sequence[Part]) -> Part:
        """Parts one after the other."""
        arrays = ([getattr(part, name) for part in parts] for name in ("frames", "rows", "times", "place"))
        return cls(*(np.concatenate(values) for values in arrays))

    def end(self, *, last: bool) -> tuple[Float[np.ndarray, " 4"], Float[np.ndarray, " 4"]]:
        """Place and velocity per second at the part's end (or start), by a line through the sightings near it."""
        at = self.times[-1] if last else self.times[0]
        near = np.abs(self.times - at) <= FIT_SECONDS
        place = self.place[-1] if last else self.place[0]
        time = self.times[near] - at
        if near.sum() < 3:
            return place, np.zeros(4)
        slope, offset = np.polyfit(time, self.place[near], 1)
        slope[2:] = 0  # sizes are led on as they are
        return offset, slope


def join_offline(
    tracked: Sequence[PoseSet], frame_indices: Sequence[int], config: OfflineConfig, *, frames_per_second: float
) -> list[PoseSet]:
    """The frames with new ids in order of appearance, gaps filled by poses of bbox score 0 and visibility 1 (occluded).

    Args:
        tracked: poses with track ids, a set a frame.
        frame_indices: rising frame numbers.
        config: limits.
        frames_per_second: of the clip.
    """
    if not tracked:
        return []
    times = np.asarray(frame_indices, dtype=np.float64) / frames_per_second
    parts = [part for track in _tracks(tracked, times) for part in _cut(track, config.cut_seconds)]
    chains = sorted(_chains(parts, config), key=lambda chain: (int(chain.frames[0]), int(chain.rows[0])))
    ids = [np.full(len(poses), -1, dtype=np.int64) for poses in tracked]
    added: list[list[PoseSet]] = [[] for _ in tracked]
    for track_id, chain in enumerate(chains, start=1):
        for frame, row in zip(chain.frames, chain.rows, strict=True):
            ids[frame][row] = track_id
        for one, other in pairwise(range(len(chain.frames))):
            start, stop = chain.frames[one], chain.frames[other]
            if times[stop] - times[start] > config.fill_seconds + 1e-9:
                continue
            before, after = tracked[start].select(chain.rows[[one]]), tracked[stop].select(chain.rows[[other]])
            for frame in range(start + 1, stop):
                fraction = (times[frame] - times[start]) / (times[stop] - times[start])
                added[frame].append(between(before, after, fraction).with_track_ids(np.array([track_id])))
    return [PoseSet.concat([poses.with_track_ids(own), *more]) for poses, own, more in zip(tracked, ids, added, strict=True)]


def between(before: PoseSet, after: PoseSet, fraction: float) -> PoseSet:
    """The pose ``fraction`` of the way from one sighting to the next: the lower scores, bbox score 0, keypoints seen in both occluded."""

    def mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((1 - fraction) * a + fraction * b)

    return PoseSet(
        keypoints=mixed(before.keypoints, after.keypoints),
        keypoint_scores=np.minimum(before.keypoint_scores, after.keypoint_scores),
        bbox_xyxy=mixed(before.bbox_xyxy, after.bbox_xyxy),
        bbox_scores=np.zeros(len(before)),
        pose_scores=np.minimum(before.pose_scores, after.pose_scores),
        visibility=((before.visibility > 0) & (after.visibility > 0)).astype(np.uint8),
    )


def _tracks(tracked: Sequence[PoseSet], times: Float[np.ndarray, " F"]) -> list[Part]:
    """All sightings of each id."""
    counts = [len(poses) for poses in tracked]
    frames, rows = np.repeat(np.arange(len(tracked)), counts), np.concatenate([np.arange(count) for count in counts])
    ids = np.concatenate([poses.track_ids for poses in tracked])
    boxes = np.concatenate([poses.bbox_xyxy for poses in tracked]).astype(np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    place = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, np.log(sides)], axis=1)
    return [Part(frames, rows, times[frames], place).select(np.flatnonzero(ids == one)) for one in np.unique(ids)]


def _cut(track: Part, cut_seconds: float) -> list[Part]:
    """A track cut wherever it was unseen for longer."""
    cuts = np.flatnonzero(np.diff(track.times) > cut_seconds) + 1
    return [track.select(index) for index in np.split(np.arange(len(track.frames)), cuts)]


def _chains(parts: Sequence[Part], config: OfflineConfig) -> list[Part]:
    """Parts joined end to start by the assignment of the greatest total evidence."""
    evidence = np.full((len(parts), len(parts)), -np.inf)
    for i, early in enumerate(parts):
        for j, late in enumerate(parts):
            if 0 < late.times[0] - early.times[-1] <= config.max_gap_seconds:
                evidence[i, j] = join_evidence(early, late, config)
    following = dict(zip(*(index.tolist() for index in match_evidence(evidence)), strict=True))
    chains = []
    for first in sorted(set(range(len(parts))) - set(following.values())):
        chain = [first]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        chains.append(Part.concat([parts[k] for k in chain]))
    return chains


def join_evidence(early: Part, late: Part, config: OfflineConfig) -> float:
    """Log-likelihood ratio that the second part goes on with the person of the first: motion led on from both sides."""
    gap = float(late.times[0] - early.times[-1])
    (end, leaving), (start, coming) = early.end(last=True), late.end(last=False)
    size = float(np.exp((end[2:] + start[2:]).mean() / 2))
    unit = np.array([size, size, 1.0, 1.0])
    ahead, back = (start - end - gap * leaving) / unit, (start - end - gap * coming) / unit
    variance = 2 * NOISE**2 + (config.speed_noise * gap * np.array([1.0, 1.0, 0.3, 0.3])) ** 2
    squared = ((ahead**2 + back**2) / 2 / variance).sum()
    density = -np.log1p(squared / DEGREES) * (DEGREES + 4) / 2 - np.log(variance).sum() / 2 - T_SCALE
    return float(density - np.log(config.clutter_density) - config.gap_cost * gap)
