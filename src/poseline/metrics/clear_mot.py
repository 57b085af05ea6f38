"""CLEAR MOT counting: correspondences carried over frames, then the cheapest assignment, switches, misses, false positives."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second
from jaxtyping import Float


class TrackMatch(NamedTuple):
    """One object found in one frame.

    Attributes:
        frame: position of the frame among those counted.
        ground_truth_id: the object's id.
        predicted_id: the track that was matched to it.
        distance: of the pair.
        previous_id: the track matched to it before, where this match is a switch; else None.
    """

    frame: int
    ground_truth_id: Hashable
    predicted_id: Hashable
    distance: float
    previous_id: Hashable | None = None


class ReachFrame(NamedTuple):
    """One frame for matching: ids on both sides and the distance of every (object, track) that may be paired."""

    ground_truth_ids: Sequence[Hashable]
    predicted_ids: Sequence[Hashable]
    reach: Mapping[tuple[Hashable, Hashable], float]


@dataclass
class ClearMotCounts:
    """Sums over the frames of one sequence, and every match.

    Attributes:
        misses: objects without a track.
        switches: objects found under another id than the last time they were found.
        false_positives: predictions without an object.
        objects: objects in all frames.
        detections: objects found, switches among them.
        distance: sum over detections.
        event_distance: what py-motmetrics' event table sums to: every pair within reach once, each detection again, and each
            transfer, first switch and migration again. poseval's MOTP rests on it.
        matches: the detections, frame by frame.
        missed: (frame, ground_truth_id) of every miss.
    """

    misses: int = 0
    switches: int = 0
    false_positives: int = 0
    objects: int = 0
    detections: int = 0
    distance: float = 0.0
    event_distance: float = 0.0
    matches: list[TrackMatch] = field(default_factory=list)
    missed: list[tuple[int, Hashable]] = field(default_factory=list)

    @property
    def mota(self) -> float:
        """1 - (misses + switches + false positives) / objects; NaN without objects; may be negative."""
        return 1.0 - (self.misses + self.switches + self.false_positives) / self.objects if self.objects else float("nan")


def count_clear_mot(frames: Iterable[tuple[Sequence[Hashable], Sequence[Hashable], Float[np.ndarray, "_ _"]]]) -> ClearMotCounts:
    """CLEAR MOT counts of a sequence given, per frame, object ids, track ids and their distances (NaN: must not be paired).

    A pair of the frame before (or of the last frame in which the object was found) stays while it is within reach; what is left
    is assigned to the least total distance among the largest matchings. A switch is an object found under another track than
    the last time, however long ago.

    Raises:
        ValueError: an id twice in a frame, or a distance matrix of another shape.

    Reference:
        Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance", 2008; carry-over as in py-motmetrics 1.4.

    >>> near, far = np.array([[0.1]]), np.array([[np.nan]])
    >>> counts = count_clear_mot([([1], [7], near), ([1], [7], far), ([1], [8], near)])
    >>> counts.misses, counts.switches, counts.false_positives, counts.detections, round(counts.mota, 3)
    (1, 1, 1, 2, 0.0)
    """
    return count_reach(
        ReachFrame(ground_truth, predicted, reach_of(ground_truth, predicted, np.asarray(distances, dtype=np.float64)))
        for ground_truth, predicted, distances in frames
    )


def reach_of(
    ground_truth_ids: Sequence[Hashable], predicted_ids: Sequence[Hashable], distances: Float[np.ndarray, "N M"]
) -> dict[tuple[Hashable, Hashable], float]:
    """The distances that are finite by (object, track).

    Raises:
        ValueError: a matrix of another shape than the ids.
    """
    if distances.shape != (len(ground_truth_ids), len(predicted_ids)):
        raise ValueError(f"distances: shape {distances.shape} for {len(ground_truth_ids)} objects and {len(predicted_ids)} tracks")
    rows, columns = np.nonzero(np.isfinite(distances))
    values = distances[rows, columns].tolist()
    return {(ground_truth_ids[i], predicted_ids[j]): d for i, j, d in zip(rows.tolist(), columns.tolist(), values, strict=True)}


def count_reach(frames: Iterable[ReachFrame]) -> ClearMotCounts:
    """As ``count_clear_mot``, from the pairs within reach only.

    Raises:
        ValueError: an id twice in a frame.
    """
    counts = ClearMotCounts()
    state = _Correspondences()
    for number, frame in enumerate(frames):
        num_ground_truth, num_predicted = len(frame.ground_truth_ids), len(frame.predicted_ids)
        if len(set(frame.ground_truth_ids)) != num_ground_truth or len(set(frame.predicted_ids)) != num_predicted:
            raise ValueError(f"frame {number}: an id occurs twice")
        found = state.match_frame(number, frame, counts) if frame.reach else set()
        counts.objects += num_ground_truth
        counts.detections += len(found)
        counts.misses += num_ground_truth - len(found)
        counts.false_positives += num_predicted - len(found)
        if len(found) < num_ground_truth:
            counts.missed += [(number, ground_truth) for ground_truth in frame.ground_truth_ids if ground_truth not in found]
    return counts


class _Correspondences:
    """Who was last matched to whom; an id without an entry was never matched."""

    def __init__(self) -> None:
        self.track_of: dict[Hashable, Hashable] = {}
        self.object_of: dict[Hashable, Hashable] = {}

    def match_frame(self, number: int, frame: ReachFrame, counts: ClearMotCounts) -> set[Hashable]:
        """The objects found; the counts grow by the frame's matches, switches and distances."""
        reach = frame.reach
        counts.event_distance += sum(reach.values())
        found: set[Hashable] = set()
        taken: set[Hashable] = set()
        for ground_truth in frame.ground_truth_ids:
            track = self.track_of.get(ground_truth, _NOBODY)
            distance = reach.get((ground_truth, track))
            if distance is None or track in taken:
                continue
            found.add(ground_truth)
            taken.add(track)
            counts.distance += distance
            counts.event_distance += distance
            counts.matches.append(TrackMatch(number, ground_truth, track, distance))
        if len(found) == len(frame.ground_truth_ids):
            return found
        rest = [pair for pair in reach if pair[0] not in found and pair[1] not in taken]
        for ground_truth, track in _assign(frame, rest) if len(rest) > 1 else rest:
            self._match_new(number, ground_truth, track, reach[ground_truth, track], counts)
            found.add(ground_truth)
        return found

    def _match_new(self, number: int, ground_truth: Hashable, track: Hashable, distance: float, counts: ClearMotCounts) -> None:
        previous = self.track_of.get(ground_truth, track)
        is_switch = previous != track
        if is_switch:
            counts.switches += 1
            counts.event_distance += 0.0 if track in self.object_of else distance
        if self.object_of.get(track, ground_truth) != ground_truth:
            counts.event_distance += distance if ground_truth in self.track_of else 2 * distance
        self.track_of[ground_truth] = track
        self.object_of[track] = ground_truth
        counts.distance += distance
        counts.event_distance += distance
        counts.matches.append(TrackMatch(number, ground_truth, track, distance, previous if is_switch else None))


_NOBODY = object()


def _assign(frame: ReachFrame, pairs: Sequence[tuple[Hashable, Hashable]]) -> list[tuple[Hashable, Hashable]]:
    """The pairs of least total distance among the largest matchings within ``pairs``; ties fall by the frame's order of ids."""
    row_of = {ground_truth: i for i, ground_truth in enumerate(frame.ground_truth_ids)}
    column_of = {track: j for j, track in enumerate(frame.predicted_ids)}
    rows, columns = [row_of[ground_truth] for ground_truth, _ in pairs], [column_of[track] for _, track in pairs]
    values = np.array([frame.reach[pair] for pair in pairs])
    limit = 2 * min(len(row_of), len(column_of)) * (np.abs(values).max() + 1) + 1
    cost = np.full((len(row_of), len(column_of)), limit)
    cost[rows, columns] = values
    chosen = zip(*(index.tolist() for index in scipy.optimize.linear_sum_assignment(cost)), strict=True)
    return [(frame.ground_truth_ids[i], frame.predicted_ids[j]) for i, j in chosen if cost[i, j] < limit]


def gate_similarity(similarity: Float[np.ndarray, "N M"], threshold: float) -> Float[np.ndarray, "N M"]:
    """Distances 1 - similarity, NaN where the similarity is below the threshold.

    >>> gate_similarity(np.array([[0.8, 0.2]]), 0.5).round(2).tolist()
    [[0.2, nan]]
    """
    values = np.asarray(similarity, dtype=np.float64)
    return np.where(values >= threshold, 1.0 - values, np.nan)
