"""Identity scores: IDF1 with its parts, switches, fragmentations, and how much of each object's life was tracked."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second

from poseline.metrics.clear_mot import ClearMotCounts, TrackMatch, count_clear_mot, gate_similarity
from poseline.metrics.track_frames import TrackFrame, count_appearances, index_frames


@dataclass(frozen=True)
class IdentityScore:
    """Detections that one fixed pairing of objects and tracks explains.

    Attributes:
        true_positives: explained detections.
        false_positives: predictions left over.
        false_negatives: objects left over.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def idf1(self) -> float:
        """2 IDTP / (2 IDTP + IDFP + IDFN); 0 where there is nothing."""
        return self.true_positives / max(1.0, self.true_positives + 0.5 * (self.false_positives + self.false_negatives))

    @property
    def idp(self) -> float:
        """IDTP / (IDTP + IDFP)."""
        return self.true_positives / max(1, self.true_positives + self.false_positives)

    @property
    def idr(self) -> float:
        """IDTP / (IDTP + IDFN)."""
        return self.true_positives / max(1, self.true_positives + self.false_negatives)


@dataclass(frozen=True)
class TrackQuality:
    """CLEAR MOT of whole objects in one or several sequences.

    Attributes:
        misses: objects not found, over frames.
        false_positives: predictions without an object, over frames.
        switches: changes of the track that follows an object.
        fragmentations: times an object was lost and found again later.
        objects: objects, over frames.
        detections: objects found, over frames.
        similarity: mean similarity of the detections; 0 without any.
        mostly_tracked: objects found in at least 80 % of their frames.
        partially_tracked: in 20 to 80 %.
        mostly_lost: in less than 20 %.
        matches: (sequence, match) of every detection; one with a previous id is a switch.
        missed: (sequence, frame, ground truth id) of every miss.
    """

    misses: int
    false_positives: int
    switches: int
    fragmentations: int
    objects: int
    detections: int
    similarity: float
    mostly_tracked: int
    partially_tracked: int
    mostly_lost: int
    matches: tuple[tuple[int, TrackMatch], ...]
    missed: tuple[tuple[int, int, Hashable], ...]

    @property
    def mota(self) -> float:
        """1 - (misses + false positives + switches) / objects; NaN without objects."""
        return 1.0 - (self.misses + self.false_positives + self.switches) / self.objects if self.objects else float("nan")


def score_identity(sequences: Sequence[Sequence[TrackFrame]], *, threshold: float = 0.5) -> IdentityScore:
    """The best one-to-one pairing of objects and tracks in each sequence, counted over all; pairs need similarity >= threshold.

    Reference:
        Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking", 2016.

    >>> frame = TrackFrame(np.array([1]), np.array([5]), np.array([[0.9]]))
    >>> swapped = TrackFrame(np.array([1]), np.array([6]), np.array([[0.9]]))
    >>> round(score_identity([[frame, frame, swapped]]).idf1, 4)
    0.6667
    """
    totals = np.zeros(3, dtype=np.int64)
    for frames in sequences:
        indexed = index_frames(frames)
        num_ground_truth, num_predicted = count_appearances(indexed)
        shared = np.zeros((len(num_ground_truth), len(num_predicted)))
        for frame in indexed:
            shared[np.ix_(frame.ground_truth_ids, frame.predicted_ids)] += frame.similarity >= threshold
        explained = int(shared[scipy.optimize.linear_sum_assignment(-shared)].sum())
        totals += [explained, int(num_predicted.sum()) - explained, int(num_ground_truth.sum()) - explained]
    return IdentityScore(*totals.tolist())


def score_tracks(sequences: Sequence[Sequence[TrackFrame]], *, threshold: float = 0.5) -> TrackQuality:
    """CLEAR MOT counts of whole objects, pairs allowed at similarity >= threshold; values of py-motmetrics 1.4.

    Raises:
        ValueError: an id twice in a frame.
    """
    predictions = [_count_sequence(frames, threshold) for frames in sequences]
    lives = [life for counts, frames in zip(predictions, sequences, strict=True) for life in _lives(counts, frames)]
    ratios = np.array([sum(life) / len(life) for life in lives])
    detections = sum(counts.detections for counts in predictions)
    return TrackQuality(
        misses=sum(counts.misses for counts in predictions),
        false_positives=sum(counts.false_positives for counts in predictions),
        switches=sum(counts.switches for counts in predictions),
        fragmentations=sum(_fragmentations(life) for life in lives),
        objects=sum(counts.objects for counts in predictions),
        detections=detections,
        similarity=1.0 - sum(counts.distance for counts in predictions) / detections if detections else 0.0,
        mostly_tracked=int((ratios >= 0.8).sum()),
        partially_tracked=int(((ratios >= 0.2) & (ratios < 0.8)).sum()),
        mostly_lost=int((ratios < 0.2).sum()),
        matches=tuple((number, match) for number, counts in enumerate(predictions) for match in counts.matches),
        missed=tuple((number, *miss) for number, counts in enumerate(predictions) for miss in counts.missed),
    )


def _count_sequence(frames: Sequence[TrackFrame], threshold: float) -> ClearMotCounts:
    return count_clear_mot(
        (frame.ground_truth_ids.tolist(), frame.predicted_ids.tolist(), gate_similarity(frame.similarity, threshold)) for frame in frames
    )


def _lives(counts: ClearMotCounts, frames: Sequence[TrackFrame]) -> list[list[bool]]:
    """For each object, frame after frame of its presence, whether it was found."""
    found = {(match.frame, match.ground_truth_id) for match in counts.matches}
    lives: dict[int, list[bool]] = {}
    for number, frame in enumerate(frames):
        for ground_truth in frame.ground_truth_ids.tolist():
            lives.setdefault(ground_truth, []).append((number, ground_truth) in found)
    return list(lives.values())


def _fragmentations(life: Sequence[bool]) -> int:
    """Times a found object was lost and found again later."""
    if not any(life):
        return 0
    last = max(i for i, found in enumerate(life) if found)
    return sum(before and not after for before, after in pairwise(life[: last + 1]))
