"""What goes wrong: each keypoint as good, jitter, inversion, swap or miss, background detections, people not found.

Reference:
    Ronchi & Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from poseline.core.similarity import keypoint_similarity, oks_pairs
from poseline.metrics.keypoint_ap import match_coco, score_coco
from poseline.metrics.keypoint_types import COCO_SIGMAS, CocoResults, CocoTruth
from poseline.metrics.matching import pair_up

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
GOOD_FROM, NEAR_FROM = 0.85, 0.5
# A detection belongs to a person from here on; below, it is background and the person is not found.
MATCH_OKS = 0.1


@dataclass(frozen=True)
class Diagnosis:
    """P people found, and what is wrong with their keypoints.

    Attributes:
        detection_index: int64 [P], position in the results.
        truth_index: int64 [P], position in the truth.
        kinds: int8 [P, K], index into :data:`KINDS`; -1 where the keypoint is not labelled.
        similarity: float64 [P, K], to the true keypoint.
        distance: float64 [P, K], over the root of the person's area; NaN where not labelled.
        oks: float64 [P].
        background: int64 [B], detections that lie on nobody.
        duplicates: int64 [D], detections of people who were found by a better one.
        missed: int64 [M], people whom no detection found.
    """

    detection_index: Int[np.ndarray, " P"]
    truth_index: Int[np.ndarray, " P"]
    kinds: Int[np.ndarray, "P K"]
    similarity: Float[np.ndarray, "P K"]
    distance: Float[np.ndarray, "P K"]
    oks: Float[np.ndarray, " P"]
    background: Int[np.ndarray, " B"]
    duplicates: Int[np.ndarray, " D"]
    missed: Int[np.ndarray, " M"]

    def counts(self) -> Int[np.ndarray, "K 5"]:
        """How often each kind befalls each keypoint."""
        return np.stack([(self.kinds == kind).sum(axis=0) for kind in range(len(KINDS))], axis=1)

    def shares(self) -> dict[str, float]:
        """Kind -> fraction of all labelled keypoints of the people found."""
        totals = self.counts().sum(axis=0)
        return {name: float(totals[kind] / max(totals.sum(), 1)) for kind, name in enumerate(KINDS)}

    def worst(self, count: int) -> Int[np.ndarray, " W"]:
        """Rows of the ``count`` people with the lowest OKS, worst first."""
        return np.argsort(self.oks, kind="stable")[:count]


def diagnose(
    truth: CocoTruth,
    results: CocoResults,
    *,
    flip_permutation: Int[np.ndarray, " K"],
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
) -> Diagnosis:
    """The errors of every detection that found a person (OKS 0.1 or more), and what remains on both sides.

    A keypoint is good from a similarity of 0.85, jitter from 0.5. Below, it is an inversion where it lies on the person's other
    side's keypoint, a swap where it lies on that keypoint (of either side) of another person, whichever is nearer; else a miss.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    table = match_coco(
        truth,
        results,
        sigmas=constants,
        max_detections=max_detections,
        thresholds=np.array([MATCH_OKS]),
        truth_outside=np.zeros((1, len(truth)), dtype=bool),
        results_outside=np.zeros((1, len(results)), dtype=bool),
        slices=("all",),
    )
    assert table.truth_index is not None
    found = table.truth_index[0, :, 0]
    rows = np.flatnonzero((found >= 0) & ~table.ignored[0, :, 0])
    poses, people = table.detection_index[rows], found[rows].astype(np.int64)
    points, true = results.keypoints[poses], truth.keypoints[people]
    labelled, area = truth.visibility[people] > 0, truth.area[people]
    own = keypoint_similarity(points, true, area, constants)
    inverted = keypoint_similarity(points, true[:, flip_permutation], area, constants) * labelled[:, flip_permutation]
    inverted[:, flip_permutation == np.arange(len(constants))] = 0
    swapped = _swap_similarity(points, people, truth, constants, flip_permutation)
    distance = np.linalg.norm(points - true, axis=2) / np.sqrt(np.maximum(area, 1e-9))[:, None]
    idle = table.detection_index[found < 0]
    on_somebody = best_oks(truth, results, sigmas=constants)[idle] >= MATCH_OKS
    missed = ~truth.ignored
    missed[people] = False
    return Diagnosis(
        detection_index=poses,
        truth_index=people,
        kinds=np.where(labelled, _classify(own, inverted, swapped), -1).astype(np.int8),
        similarity=own,
        distance=np.where(labelled, distance, np.nan),
        oks=oks_pairs(points, true, truth.visibility[people], area, constants),
        background=idle[~on_somebody],
        duplicates=idle[on_somebody],
        missed=np.flatnonzero(missed),
    )


def rate_gains(
    truth: CocoTruth, results: CocoResults, diagnosis: Diagnosis, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> dict[str, float]:
    """AP that correcting each kind of error alone would give back, as fractions.

    jitter, inversion, swap, miss: these keypoints moved to the truth. background, duplicates: these detections dropped. missed:
    these people not asked for. scores: every detection scored by its OKS (the best order there is).
    """
    base = score_coco(truth, results, sigmas=sigmas).metrics["ap"]
    if base is None:
        return {}
    corrected: dict[str, tuple[CocoTruth, CocoResults]] = {}
    for kind in (JITTER, INVERSION, SWAP, MISS):
        points = results.keypoints.copy()
        row, joint = np.nonzero(diagnosis.kinds == kind)
        points[diagnosis.detection_index[row], joint] = truth.keypoints[diagnosis.truth_index[row], joint]
        corrected[KINDS[kind]] = truth, replace(results, keypoints=points)
    for name, dropped in (("background", diagnosis.background), ("duplicates", diagnosis.duplicates)):
        corrected[name] = truth, _take(results, np.setdiff1d(np.arange(len(results)), dropped))
    labelled = truth.num_keypoints.copy()
    labelled[diagnosis.missed] = 0
    corrected["missed"] = replace(truth, num_keypoints=labelled), results
    best = np.zeros(len(results))
    best[diagnosis.detection_index] = diagnosis.oks
    corrected["scores"] = truth, replace(results, scores=best)
    gains = {}
    for name, (people, poses) in corrected.items():
        value = score_coco(people, poses, sigmas=sigmas).metrics["ap"]
        gains[name] = 0.0 if value is None else value - base
    return gains


def correlate_scores(results: CocoResults, diagnosis: Diagnosis) -> float | None:
    """Spearman's rank correlation of score and OKS over detections (0 for background and duplicates); None below three."""
    idle = np.concatenate([diagnosis.background, diagnosis.duplicates])
    scores = np.concatenate([results.scores[diagnosis.detection_index], results.scores[idle]])
    oks = np.concatenate([diagnosis.oks, np.zeros(len(idle))])
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(oks) == 0:
        return None
    return float(spearmanr(scores, oks).statistic)


def best_oks(truth: CocoTruth, results: CocoResults, *, sigmas: Float[np.ndarray, " K"] | None = None) -> Float[np.ndarray, " N"]:
    """Each detection's highest OKS with a labelled person of its picture; 0 where there is none."""
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    order = np.argsort(results.image_index, kind="stable")
    rows, people = pair_up(results.image_index[order], truth.image_index, len(truth.image_ids))
    asked = ~truth.ignored[people]
    rows, people = order[rows[asked]], people[asked]
    oks = oks_pairs(results.keypoints[rows], truth.keypoints[people], truth.visibility[people], truth.area[people], constants)
    best = np.zeros(len(results))
    np.maximum.at(best, rows, oks)
    return best


def localise(diagnosis: Diagnosis, quantiles: tuple[float, ...] = (0.5, 0.9)) -> Float[np.ndarray, "Q K"]:
    """Quantiles of each keypoint's distance over the root of the person's area; NaN for one never labelled."""
    count = diagnosis.distance.shape[1]
    values = np.full((len(quantiles), count), np.nan)
    for joint in range(count):
        known = diagnosis.distance[~np.isnan(diagnosis.distance[:, joint]), joint]
        if len(known):
            values[:, joint] = np.quantile(known, quantiles)
    return values


def name_regressions(
    first: Diagnosis, second: Diagnosis, names: tuple[str, ...], *, z_score: float = 4.0
) -> list[tuple[str, str, float, float]]:
    """(keypoint, kind of error, share before, share after) of the errors that grew beyond chance; see :func:`compare_counts`."""
    return compare_counts(first.counts(), second.counts(), names, z_score=z_score)


def compare_counts(
    first: Int[np.ndarray, "K 5"], second: Int[np.ndarray, "K 5"], names: tuple[str, ...], *, z_score: float = 4.0
) -> list[tuple[str, str, float, float]]:
    """(keypoint, kind of error, share before, share after) of the errors that grew beyond chance, the largest growth first.

    Shares are of the labelled keypoints of people found; chance is the two-proportion test at ``z_score`` standard errors.
    """
    before, after = first.astype(np.float64), second.astype(np.float64)
    n, m = np.maximum(before.sum(axis=1, keepdims=True), 1), np.maximum(after.sum(axis=1, keepdims=True), 1)
    pooled = (before + after) / (n + m)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n + 1 / m))
    growth = after / m - before / n
    grown = [
        (float(growth[joint, kind]), names[joint], KINDS[kind], float((before / n)[joint, kind]), float((after / m)[joint, kind]))
        for joint, kind in np.argwhere(growth > z_score * error)
        if kind != GOOD
    ]
    return [entry[1:] for entry in sorted(grown, reverse=True)]


def _classify(
    own: Float[np.ndarray, "P K"], inverted: Float[np.ndarray, "P K"], swapped: Float[np.ndarray, "P K"]
) -> Int[np.ndarray, "P K"]:
    kinds = np.full(own.shape, MISS)
    kinds[(inverted >= NEAR_FROM) & (inverted >= swapped)] = INVERSION
    kinds[(swapped >= NEAR_FROM) & (swapped > inverted)] = SWAP
    kinds[own >= NEAR_FROM] = JITTER
    kinds[own >= GOOD_FROM] = GOOD
    return kinds


def _swap_similarity(
    points: Float[np.ndarray, "P K 2"],
    people: Int[np.ndarray, " P"],
    truth: CocoTruth,
    sigmas: Float[np.ndarray, " K"],
    flip_permutation: Int[np.ndarray, " K"],
) -> Float[np.ndarray, "P K"]:
    """The highest similarity of each keypoint to the same or the mirrored keypoint of another person in the picture."""
    best = np.zeros(points.shape[:2])
    # The rows are ordered by picture, as pair_up asks: matches come picture by picture.
    rows, others = pair_up(truth.image_index[people], truth.image_index, len(truth.image_ids))
    different: Bool[np.ndarray, " Q"] = others != people[rows]
    rows, others = rows[different], others[different]
    for permutation in (np.arange(points.shape[1]), flip_permutation):
        similarity = keypoint_similarity(points[rows], truth.keypoints[others][:, permutation], truth.area[others], sigmas)
        similarity *= truth.visibility[others][:, permutation] > 0
        np.maximum.at(best, rows, similarity)
    return best


def _take(results: CocoResults, index: Int[np.ndarray, " M"]) -> CocoResults:
    return CocoResults(
        image_index=results.image_index[index],
        keypoints=results.keypoints[index],
        keypoint_scores=results.keypoint_scores[index],
        scores=results.scores[index],
        area=results.area[index],
    )
