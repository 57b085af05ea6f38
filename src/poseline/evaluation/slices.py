"""AP by kind of person and picture: size, occlusion, number of people, crowdedness; and by keypoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.similarity import keypoint_similarity
from poseline.metrics.average_precision import precision_recall
from poseline.metrics.keypoint_ap import match_coco
from poseline.metrics.keypoint_types import AREA_RANGES, COCO_SIGMAS, CocoResults, CocoTruth, MatchTable
from poseline.metrics.matching import pair_up
from poseline.metrics.part_ap import take_keypoints

SLICES = (
    "all", "medium", "large",
    "occluded_none", "occluded_some", "occluded_heavy",
    "people_1", "people_2_to_4", "people_5_up",
    "crowd_easy", "crowd_medium", "crowd_hard",
)  # fmt: skip
HEAVY_OCCLUSION = 1 / 3
# The split of the CrowdPose paper; its tool takes 0.2 for the first (crowd_ap.py).
CROWD_LIMITS = (0.1, 0.8)


def match_slices(
    truth: CocoTruth, results: CocoResults, *, sigmas: Float[np.ndarray, " K"] | None = None, max_detections: int = 20
) -> MatchTable:
    """The table of matches in all :data:`SLICES`; its metrics are ``ap_SLICE`` and ``ar_SLICE``.

    People outside a slice are neither asked for nor punished. A detection that finds nobody is punished in a slice of size by
    its own area, as COCO does; in a slice of pictures in these pictures; in a slice of occlusion in pictures that have such people.
    """
    occlusion = np.digitize(occluded_share(truth), [1e-9, HEAVY_OCCLUSION])
    people = np.bincount(truth.image_index[~truth.ignored], minlength=len(truth.image_ids))
    by_people = np.digitize(people, [2, 5])
    by_crowd = np.digitize(crowd_index(truth) if truth.crowd_index is None else truth.crowd_index, CROWD_LIMITS)
    truth_outside = [_outside_sizes(truth.area)]
    results_outside = [_outside_sizes(results.area)]
    for level in range(3):
        member = occlusion == level
        truth_outside.append(~member[None])
        has_member = np.bincount(truth.image_index[member & ~truth.ignored], minlength=len(truth.image_ids)) > 0
        results_outside.append(~has_member[results.image_index][None])
    for grouping in (by_people, by_crowd):
        for level in range(3):
            truth_outside.append((grouping[truth.image_index] != level)[None])
            results_outside.append((grouping[results.image_index] != level)[None])
    return match_coco(
        truth,
        results,
        sigmas=sigmas,
        max_detections=max_detections,
        truth_outside=np.concatenate(truth_outside),
        results_outside=np.concatenate(results_outside),
        slices=SLICES,
    )


def score_slices(matches: MatchTable) -> dict[str, dict[str, float | int | None]]:
    """Slice -> ap, ar (None where nobody is asked for) and num_people."""
    precision, recall = precision_recall(matches)
    table: dict[str, dict[str, float | int | None]] = {}
    for index, name in enumerate(matches.slices):
        people = int(matches.truth_counts[index].sum())
        ap, ar = (float(np.mean(curve[index])) if people else None for curve in (precision, recall))
        table[name] = {"ap": ap, "ar": ar, "num_people": people}
    return table


def score_keypoints(
    truth: CocoTruth,
    results: CocoResults,
    names: Sequence[str],
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    matches: MatchTable | None = None,
) -> dict[str, dict[str, float | int | None]]:
    """Keypoint -> ap, oks and count.

    ``ap`` is the AP were it the only keypoint of a person. ``oks`` is its mean similarity where a detection found the person at OKS
    0.5; ``count`` is how often it is labelled there.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    table = match_coco(truth, results, sigmas=sigmas) if matches is None else matches
    if table.truth_index is None:
        raise ValueError("matches: a table read from a file does not say who was found; match again")
    rows = np.flatnonzero((table.truth_index[0, :, 0] >= 0) & ~table.ignored[0, :, 0])
    found, poses = table.truth_index[0, rows, 0], table.detection_index[rows]
    similarity = keypoint_similarity(results.keypoints[poses], truth.keypoints[found], truth.area[found], constants)
    labelled = truth.visibility[found] > 0
    everyone = np.zeros((1, len(truth)), dtype=bool), np.zeros((1, len(results)), dtype=bool)
    scores: dict[str, dict[str, float | int | None]] = {}
    for index, name in enumerate(names):
        one_truth, one_results = take_keypoints(truth, results, np.array([index]))
        alone = match_coco(
            one_truth, one_results, sigmas=constants[[index]], truth_outside=everyone[0], results_outside=everyone[1], slices=("all",)
        )
        precision, _ = precision_recall(alone)
        count = int(labelled[:, index].sum())
        scores[name] = {
            "ap": None if np.isnan(precision).any() else float(np.mean(precision)),
            "oks": float(similarity[labelled[:, index], index].mean()) if count else None,
            "count": count,
        }
    return scores


def occluded_share(truth: CocoTruth) -> Float[np.ndarray, " G"]:
    """Share of each person's labelled keypoints that are occluded (visibility 1); 0 without any."""
    labelled = (truth.visibility > 0).sum(axis=1)
    return np.divide((truth.visibility == 1).sum(axis=1), labelled, out=np.zeros(len(truth)), where=labelled > 0)


def crowd_index(truth: CocoTruth) -> Float[np.ndarray, " I"]:
    """Crowdedness of each picture in 0..1: mean over its people of others' labelled keypoints in the box over their own.

    Reference:
        Li et al., CrowdPose, CVPR 2019, eq. 9.
    """
    owners, others = pair_up(truth.image_index, truth.image_index, len(truth.image_ids))
    owners, others = owners[owners != others], others[owners != others]
    low, extent = truth.bbox_xywh[owners, None, :2], truth.bbox_xywh[owners, None, 2:]
    points = truth.keypoints[others]
    inside = ((points >= low) & (points <= low + extent)).all(axis=2) & (truth.visibility[others] > 0)
    intruding = np.bincount(owners, inside.sum(axis=1), minlength=len(truth))
    own = np.maximum((truth.visibility > 0).sum(axis=1), 1)
    counted = ~truth.ignored
    total = np.bincount(truth.image_index[counted], np.minimum(intruding / own, 1)[counted], minlength=len(truth.image_ids))
    people: Int[np.ndarray, " I"] = np.bincount(truth.image_index[counted], minlength=len(truth.image_ids))
    return np.divide(total, people, out=np.zeros(len(people)), where=people > 0)


def _outside_sizes(area: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "3 N"]:
    return (area[None] < AREA_RANGES[:, :1]) | (area[None] > AREA_RANGES[:, 1:])
