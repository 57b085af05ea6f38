"""What goes wrong: each keypoint as good, jitter, inversion, swap or miss, background detections, people not found.

Reference:
    Ronchi & Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from poseline.core.similarity import keypoint_similarity, oks_pairs
from poseline.core.skeletons import Skeleton
from poseline.datasets.score import Diagnosis, ErrorRow, PersonRow, Score
from poseline.metrics.keypoint_ap import match_coco, score_coco
from poseline.metrics.keypoint_types import COCO_SIGMAS, GroundTruth, Predictions
from poseline.metrics.matching import pair_up

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
GOOD_FROM, NEAR_FROM = 0.85, 0.5
# A detection belongs to a person from here on; below, it is background and the person is not found.
MATCH_OKS = 0.1
WORST = 12


@dataclass(frozen=True)
class KeypointErrors:
    """P people found, and what is wrong with their keypoints.

    Attributes:
        detection_index: int64 [P], position in the predictions.
        ground_truth_index: int64 [P], position in the ground truth.
        kinds: int8 [P, K], index into :data:`KINDS`; -1 where the keypoint is not labelled.
        similarity: float64 [P, K], to the true keypoint.
        distance: float64 [P, K], over the root of the person's area; NaN where not labelled.
        oks: float64 [P].
        background: int64 [B], detections that lie on no person.
        duplicates: int64 [D], detections of people who were found by a better one.
        missed: int64 [M], people whom no detection found.
    """

    detection_index: Int[np.ndarray, " P"]
    ground_truth_index: Int[np.ndarray, " P"]
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
    ground_truth: GroundTruth,
    predictions: Predictions,
    *,
    flip_permutation: Int[np.ndarray, " K"],
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
) -> KeypointErrors:
    """The errors of every detection that found a person (OKS 0.1 or more), and what remains on both sides.

    A keypoint is good from a similarity of 0.85, jitter from 0.5. Below, it is an inversion where it lies on the person's other
    side's keypoint, a swap where it lies on that keypoint (of either side) of another person, whichever is nearer; else a miss.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    table = match_coco(
        ground_truth,
        predictions,
        sigmas=constants,
        max_detections=max_detections,
        thresholds=np.array([MATCH_OKS]),
        ground_truth_outside=np.zeros((1, len(ground_truth)), dtype=bool),
        predictions_outside=np.zeros((1, len(predictions)), dtype=bool),
        slices=("all",),
    )
    assert table.ground_truth_index is not None
    found = table.ground_truth_index[0, :, 0]
    rows = np.flatnonzero((found >= 0) & ~table.ignored[0, :, 0])
    poses, people = table.detection_index[rows], found[rows].astype(np.int64)
    points, true = predictions.keypoints[poses], ground_truth.keypoints[people]
    labelled, area = ground_truth.visibility[people] > 0, ground_truth.area[people]
    own = keypoint_similarity(points, true, area, constants)
    inverted = keypoint_similarity(points, true[:, flip_permutation], area, constants) * labelled[:, flip_permutation]
    inverted[:, flip_permutation == np.arange(len(constants))] = 0
    swapped = _swap_similarity(points, people, ground_truth, constants, flip_permutation)
    distance = np.linalg.norm(points - true, axis=2) / np.sqrt(np.maximum(area, 1e-9))[:, None]
    idle = table.detection_index[found < 0]
    on_person = best_oks(ground_truth, predictions, sigmas=constants)[idle] >= MATCH_OKS
    missed = ~ground_truth.ignored
    missed[people] = False
    return KeypointErrors(
        detection_index=poses,
        ground_truth_index=people,
        kinds=np.where(labelled, _classify(own, inverted, swapped), -1).astype(np.int8),
        similarity=own,
        distance=np.where(labelled, distance, np.nan),
        oks=oks_pairs(points, true, ground_truth.visibility[people], area, constants),
        background=idle[~on_person],
        duplicates=idle[on_person],
        missed=np.flatnonzero(missed),
    )


def rate_gains(
    ground_truth: GroundTruth, predictions: Predictions, diagnosis: KeypointErrors, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> dict[str, float]:
    """AP that correcting each kind of error alone would give back, as fractions.

    jitter, inversion, swap, miss: these keypoints moved to the ground truth. background, duplicates: these detections dropped. missed:
    these people not counted. scores: every detection scored by its OKS (the best order there is).
    """
    base = score_coco(ground_truth, predictions, sigmas=sigmas).metrics["ap"]
    if base is None:
        return {}
    corrected: dict[str, tuple[GroundTruth, Predictions]] = {}
    for kind in (JITTER, INVERSION, SWAP, MISS):
        points = predictions.keypoints.copy()
        row, joint = np.nonzero(diagnosis.kinds == kind)
        points[diagnosis.detection_index[row], joint] = ground_truth.keypoints[diagnosis.ground_truth_index[row], joint]
        corrected[KINDS[kind]] = ground_truth, replace(predictions, keypoints=points)
    for name, dropped in (("background", diagnosis.background), ("duplicates", diagnosis.duplicates)):
        corrected[name] = ground_truth, _take(predictions, np.setdiff1d(np.arange(len(predictions)), dropped))
    labelled = ground_truth.num_keypoints.copy()
    labelled[diagnosis.missed] = 0
    corrected["missed"] = replace(ground_truth, num_keypoints=labelled), predictions
    best = np.zeros(len(predictions))
    best[diagnosis.detection_index] = diagnosis.oks
    corrected["scores"] = ground_truth, replace(predictions, scores=best)
    gains = {}
    for name, (people, poses) in corrected.items():
        value = score_coco(people, poses, sigmas=sigmas).metrics["ap"]
        gains[name] = 0.0 if value is None else value - base
    return gains


def correlate_scores(predictions: Predictions, diagnosis: KeypointErrors) -> float | None:
    """Spearman's rank correlation of score and OKS over detections (0 for background and duplicates); None below three."""
    idle = np.concatenate([diagnosis.background, diagnosis.duplicates])
    scores = np.concatenate([predictions.scores[diagnosis.detection_index], predictions.scores[idle]])
    oks = np.concatenate([diagnosis.oks, np.zeros(len(idle))])
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(oks) == 0:
        return None
    return float(np.corrcoef(pd.Series(scores).rank(), pd.Series(oks).rank())[0, 1])


def best_oks(
    ground_truth: GroundTruth, predictions: Predictions, *, sigmas: Float[np.ndarray, " K"] | None = None
) -> Float[np.ndarray, " N"]:
    """Each detection's highest OKS with a labelled person of its image; 0 where there is none."""
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    order = np.argsort(predictions.image_index, kind="stable")
    rows, people = pair_up(predictions.image_index[order], ground_truth.image_index, len(ground_truth.image_ids))
    counted = ~ground_truth.ignored[people]
    rows, people = order[rows[counted]], people[counted]
    oks = oks_pairs(
        predictions.keypoints[rows], ground_truth.keypoints[people], ground_truth.visibility[people], ground_truth.area[people], constants
    )
    best = np.zeros(len(predictions))
    np.maximum.at(best, rows, oks)
    return best


def localise(diagnosis: KeypointErrors, quantiles: tuple[float, ...] = (0.5, 0.9)) -> Float[np.ndarray, "Q K"]:
    """Quantiles of each keypoint's distance over the root of the person's area; NaN for one never labelled."""
    count = diagnosis.distance.shape[1]
    values = np.full((len(quantiles), count), np.nan)
    for joint in range(count):
        known = diagnosis.distance[~np.isnan(diagnosis.distance[:, joint]), joint]
        if len(known):
            values[:, joint] = np.quantile(known, quantiles)
    return values


def compare_counts(
    first: Int[np.ndarray, "K 5"], second: Int[np.ndarray, "K 5"], names: tuple[str, ...], *, z_score: float = 4.0
) -> list[tuple[str, str, float, float]]:
    """(keypoint, kind of error, fraction before, fraction after) of the errors that grew beyond chance, the largest growth first.

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


def describe_errors(ground_truth: GroundTruth, predictions: Predictions, errors: KeypointErrors, skeleton: Skeleton) -> Diagnosis:
    """The section of a score: fractions of the kinds of errors, what correcting each would give back, each keypoint, the worst people."""
    counts = errors.counts()
    half, most = localise(errors)
    rows = {
        name: ErrorRow(
            **{kind: int(counts[joint, index]) for index, kind in enumerate(KINDS)}, distance_50=half[joint], distance_90=most[joint]
        )
        for joint, name in enumerate(skeleton.keypoints)
    }
    return Diagnosis(
        shares=errors.shares(),
        ap_gain=rate_gains(ground_truth, predictions, errors, sigmas=skeleton.sigma_array),
        people_found=len(errors.ground_truth_index),
        people_missed=len(errors.missed),
        background=len(errors.background),
        duplicates=len(errors.duplicates),
        keypoints=rows,
        worst=_worst_people(ground_truth, errors),
    )


def name_grown_errors(before: Score, after: Score) -> list[str]:
    """A phrase for each error of a keypoint that grew beyond chance between two scores, the largest growth first.

    Empty where one of them has no diagnosis.
    """
    if before.diagnosis is None or after.diagnosis is None:
        return []
    rows = before.diagnosis.keypoints, after.diagnosis.keypoints
    names = tuple(name for name in rows[0] if name in rows[1])
    if not names:
        return []
    first, second = (np.array([[getattr(table[name], kind) for kind in KINDS] for name in names]) for table in rows)
    grown = compare_counts(first, second, names)
    return [f"{keypoint} {kind} {100 * old:.1f} -> {100 * new:.1f} %" for keypoint, kind, old, new in grown]


def _worst_people(ground_truth: GroundTruth, errors: KeypointErrors) -> list[PersonRow]:
    rows = errors.worst(WORST)
    return [
        PersonRow(
            image_id=ground_truth.image_ids[ground_truth.image_index[person]], annotation_id=ground_truth.annotation_ids[person], oks=oks
        )
        for person, oks in zip(errors.ground_truth_index[rows].tolist(), errors.oks[rows].tolist(), strict=True)
    ]


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
    ground_truth: GroundTruth,
    sigmas: Float[np.ndarray, " K"],
    flip_permutation: Int[np.ndarray, " K"],
) -> Float[np.ndarray, "P K"]:
    """The highest similarity of each keypoint to the same or the mirrored keypoint of another person in the image."""
    best = np.zeros(points.shape[:2])
    # The rows are ordered by image, as pair_up asks: matches come image by image.
    rows, others = pair_up(ground_truth.image_index[people], ground_truth.image_index, len(ground_truth.image_ids))
    different: Bool[np.ndarray, " Q"] = others != people[rows]
    rows, others = rows[different], others[different]
    for permutation in (np.arange(points.shape[1]), flip_permutation):
        similarity = keypoint_similarity(points[rows], ground_truth.keypoints[others][:, permutation], ground_truth.area[others], sigmas)
        similarity *= ground_truth.visibility[others][:, permutation] > 0
        np.maximum.at(best, rows, similarity)
    return best


def _take(predictions: Predictions, index: Int[np.ndarray, " M"]) -> Predictions:
    return Predictions(
        image_index=predictions.image_index[index],
        keypoints=predictions.keypoints[index],
        keypoint_scores=predictions.keypoint_scores[index],
        scores=predictions.scores[index],
        area=predictions.area[index],
    )
