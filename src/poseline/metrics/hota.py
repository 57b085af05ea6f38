"""HOTA: higher order tracking accuracy, the geometric mean of detection and association over localisation thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second
from jaxtyping import Float

from poseline.metrics.track_frames import TrackFrame, count_appearances, index_frames

ALPHAS = np.arange(0.05, 0.99, 0.05)
_EPSILON = float(np.finfo(float).eps)
METRICS = ("hota", "det_a", "ass_a", "loc_a", "det_re", "det_pr", "ass_re", "ass_pr", "owta")


@dataclass(frozen=True, eq=False)
class HotaScore:
    """HOTA and its parts at the 19 thresholds .05 to .95; each [19], fractions (counts are counts).

    Attributes:
        true_positives: pairs matched at each threshold.
        false_negatives: objects without a match.
        false_positives: predictions without a match.
        ass_a: association accuracy, mean over the true positives.
        ass_re: association recall.
        ass_pr: association precision.
        loc_a: mean similarity of the true positives; 1 without any.
    """

    true_positives: Float[np.ndarray, "19"]
    false_negatives: Float[np.ndarray, "19"]
    false_positives: Float[np.ndarray, "19"]
    ass_a: Float[np.ndarray, "19"]
    ass_re: Float[np.ndarray, "19"]
    ass_pr: Float[np.ndarray, "19"]
    loc_a: Float[np.ndarray, "19"]

    @property
    def det_a(self) -> Float[np.ndarray, "19"]:
        """Detection accuracy TP / (TP + FN + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives + self.false_positives)

    @property
    def det_re(self) -> Float[np.ndarray, "19"]:
        """Detection recall."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def det_pr(self) -> Float[np.ndarray, "19"]:
        """Detection precision."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def hota(self) -> Float[np.ndarray, "19"]:
        """Square root of det_a x ass_a."""
        return _geometric_mean(self.det_a, self.ass_a)

    @property
    def owta(self) -> Float[np.ndarray, "19"]:
        """Square root of det_re x ass_a (open world; RHOTA of PoseTrack21)."""
        return _geometric_mean(self.det_re, self.ass_a)

    @property
    def metrics(self) -> dict[str, float]:
        """Means over the thresholds: hota, det_a, ass_a, loc_a, det_re, det_pr, ass_re, ass_pr, owta."""
        return {name: float(getattr(self, name).mean()) for name in METRICS}


def score_hota(frames: Sequence[TrackFrame], *, assign_by: Literal["tracks", "frame"] = "tracks") -> HotaScore:
    """HOTA of one sequence.

    ``tracks`` assigns each frame by similarity x how well the two tracks agree over the sequence (the published metric);
    ``frame`` by similarity alone, as PoseTrack21's keypoint HOTA does.

    Reference:
        Luiten et al., "HOTA", IJCV 2021; the values of TrackEval.

    >>> same = TrackFrame(np.array([1]), np.array([9]), np.array([[1.0]]))
    >>> score_hota([same, same]).metrics["hota"]
    1.0
    """
    indexed = index_frames(frames)
    num_ground_truth, num_predicted = count_appearances(indexed)
    total_truth, total_predicted = float(num_ground_truth.sum()), float(num_predicted.sum())
    zeros, ones = np.zeros(len(ALPHAS)), np.ones(len(ALPHAS))
    if not total_truth or not total_predicted:
        return HotaScore(zeros, zeros + total_truth, zeros + total_predicted, zeros, zeros, zeros, ones)
    agreement = _track_agreement(indexed, num_ground_truth, num_predicted) if assign_by == "tracks" else None
    matched = np.zeros((len(ALPHAS), len(num_ground_truth), len(num_predicted)))
    similarity_sum = np.zeros(len(ALPHAS))
    for frame in indexed:
        similarity = frame.similarity
        if not similarity.size:
            continue
        weight = similarity if agreement is None else agreement[np.ix_(frame.ground_truth_ids, frame.predicted_ids)] * similarity
        rows, columns = scipy.optimize.linear_sum_assignment(-weight)
        chosen = similarity[rows, columns]
        within = chosen[None] >= ALPHAS[:, None] - _EPSILON
        similarity_sum += (within * chosen).sum(axis=1)
        matched[:, frame.ground_truth_ids[rows], frame.predicted_ids[columns]] += within
    return _association(matched, num_ground_truth, num_predicted, similarity_sum)


def combine_hota(scores: Sequence[HotaScore]) -> HotaScore:
    """Several sequences as one: counts added, association and localisation weighted by true positives."""
    found = np.sum([score.true_positives for score in scores], axis=0)

    def weighted(name: str) -> Float[np.ndarray, "19"]:
        total: Float[np.ndarray, "19"] = np.sum([getattr(score, name) * score.true_positives for score in scores], axis=0)
        return total

    return HotaScore(
        true_positives=found,
        false_negatives=np.sum([score.false_negatives for score in scores], axis=0),
        false_positives=np.sum([score.false_positives for score in scores], axis=0),
        ass_a=weighted("ass_a") / np.maximum(1, found),
        ass_re=weighted("ass_re") / np.maximum(1, found),
        ass_pr=weighted("ass_pr") / np.maximum(1, found),
        loc_a=np.maximum(1e-10, weighted("loc_a")) / np.maximum(1e-10, found),
    )


def _track_agreement(
    frames: Sequence[TrackFrame], num_ground_truth: Float[np.ndarray, " G"], num_predicted: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "G T"]:
    """Jaccard index of each pair of tracks over the sequence, frames weighted by the pair's part of the similarity."""
    shared = np.zeros((len(num_ground_truth), len(num_predicted)))
    for frame in frames:
        similarity = frame.similarity
        union = similarity.sum(axis=0)[None] + similarity.sum(axis=1)[:, None] - similarity
        part = np.divide(similarity, union, out=np.zeros_like(similarity), where=union > _EPSILON)
        shared[np.ix_(frame.ground_truth_ids, frame.predicted_ids)] += part
    agreement: Float[np.ndarray, "G T"] = shared / (num_ground_truth[:, None] + num_predicted[None] - shared)
    return agreement


def _ratio(part: Float[np.ndarray, "19"], whole: Float[np.ndarray, "19"]) -> Float[np.ndarray, "19"]:
    """Counts over counts; 0 where there is nothing."""
    ratio: Float[np.ndarray, "19"] = part / np.maximum(1, whole)
    return ratio


def _geometric_mean(a: Float[np.ndarray, "19"], b: Float[np.ndarray, "19"]) -> Float[np.ndarray, "19"]:
    mean: Float[np.ndarray, "19"] = np.sqrt(a * b)
    return mean


def _association(
    matched: Float[np.ndarray, "19 G T"],
    num_ground_truth: Float[np.ndarray, " G"],
    num_predicted: Float[np.ndarray, " T"],
    similarity_sum: Float[np.ndarray, "19"],
) -> HotaScore:
    found = matched.sum(axis=(1, 2))
    ground_truth, predicted = num_ground_truth[None, :, None], num_predicted[None, None]

    def mean_over_matches(rate: Float[np.ndarray, "19 G T"]) -> Float[np.ndarray, "19"]:
        mean: Float[np.ndarray, "19"] = (matched * rate).sum(axis=(1, 2)) / np.maximum(1, found)
        return mean

    return HotaScore(
        true_positives=found,
        false_negatives=num_ground_truth.sum() - found,
        false_positives=num_predicted.sum() - found,
        ass_a=mean_over_matches(matched / np.maximum(1, ground_truth + predicted - matched)),
        ass_re=mean_over_matches(matched / np.maximum(1, ground_truth)),
        ass_pr=mean_over_matches(matched / np.maximum(1, predicted)),
        loc_a=np.maximum(1e-10, similarity_sum) / np.maximum(1e-10, found),
    )
