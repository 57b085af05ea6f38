"""AP by kind of person and image: size, occlusion, number of people, crowdedness; and by keypoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.similarity import keypoint_similarity
from poseline.datasets.score import KeypointRow, SliceRow
from poseline.metrics.keypoint_ap import match_coco
from poseline.metrics.keypoint_types import AREA_RANGES, COCO_SIGMAS, GroundTruth, Predictions
from poseline.metrics.match_table import MatchTable, precision_recall
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
    ground_truth: GroundTruth, predictions: Predictions, *, sigmas: Float[np.ndarray, " K"] | None = None, max_detections: int = 20
) -> MatchTable:
    """The table of matches in all :data:`SLICES`; its metrics are ``ap_SLICE`` and ``ar_SLICE``.

    People outside a slice are ignored. A detection that matches no person counts as a false positive in a slice of size by
    its own area, as COCO does; in a slice of images in these images; in a slice of occlusion in images that have such people.
    """
    occlusion = np.digitize(occluded_fraction(ground_truth), [1e-9, HEAVY_OCCLUSION])
    people = np.bincount(ground_truth.image_index[~ground_truth.ignored], minlength=len(ground_truth.image_ids))
    by_people = np.digitize(people, [2, 5])
    by_crowd = np.digitize(crowd_index(ground_truth) if ground_truth.crowd_index is None else ground_truth.crowd_index, CROWD_LIMITS)
    ground_truth_outside = [_outside_sizes(ground_truth.area)]
    predictions_outside = [_outside_sizes(predictions.area)]
    for level in range(3):
        member = occlusion == level
        ground_truth_outside.append(~member[None])
        has_member = np.bincount(ground_truth.image_index[member & ~ground_truth.ignored], minlength=len(ground_truth.image_ids)) > 0
        predictions_outside.append(~has_member[predictions.image_index][None])
    for grouping in (by_people, by_crowd):
        for level in range(3):
            ground_truth_outside.append((grouping[ground_truth.image_index] != level)[None])
            predictions_outside.append((grouping[predictions.image_index] != level)[None])
    return match_coco(
        ground_truth,
        predictions,
        sigmas=sigmas,
        max_detections=max_detections,
        ground_truth_outside=np.concatenate(ground_truth_outside),
        predictions_outside=np.concatenate(predictions_outside),
        slices=SLICES,
    )


def score_slices(matches: MatchTable) -> dict[str, SliceRow]:
    """Slice -> ap, ar (None where no person is counted) and num_people."""
    precision, recall = precision_recall(matches)
    table: dict[str, SliceRow] = {}
    for index, name in enumerate(matches.slices):
        people = int(matches.num_people[index].sum())
        ap, ar = (float(np.mean(curve[index])) if people else None for curve in (precision, recall))
        table[name] = SliceRow(ap=ap, ar=ar, num_people=people)
    return table


def score_keypoints(
    ground_truth: GroundTruth,
    predictions: Predictions,
    names: Sequence[str],
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    matches: MatchTable | None = None,
) -> dict[str, KeypointRow]:
    """Keypoint -> ap, oks and count.

    ``ap`` is the AP were it the only keypoint of a person. ``oks`` is its mean similarity where a detection found the person at OKS
    0.5; ``count`` is how often it is labelled there.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    table = match_coco(ground_truth, predictions, sigmas=sigmas) if matches is None else matches
    if table.ground_truth_index is None:
        raise ValueError("matches: a table read from a file does not say who was found; match again")
    rows = np.flatnonzero((table.ground_truth_index[0, :, 0] >= 0) & ~table.ignored[0, :, 0])
    found, poses = table.ground_truth_index[0, rows, 0], table.detection_index[rows]
    similarity = keypoint_similarity(predictions.keypoints[poses], ground_truth.keypoints[found], ground_truth.area[found], constants)
    labelled = ground_truth.visibility[found] > 0
    everyone = np.zeros((1, len(ground_truth)), dtype=bool), np.zeros((1, len(predictions)), dtype=bool)
    scores: dict[str, KeypointRow] = {}
    for index, name in enumerate(names):
        one_truth, one_results = take_keypoints(ground_truth, predictions, np.array([index]))
        alone = match_coco(
            one_truth,
            one_results,
            sigmas=constants[[index]],
            ground_truth_outside=everyone[0],
            predictions_outside=everyone[1],
            slices=("all",),
        )
        precision, _ = precision_recall(alone)
        count = int(labelled[:, index].sum())
        scores[name] = KeypointRow(
            ap=None if np.isnan(precision).any() else float(np.mean(precision)),
            oks=float(similarity[labelled[:, index], index].mean()) if count else None,
            count=count,
        )
    return scores


def occluded_fraction(ground_truth: GroundTruth) -> Float[np.ndarray, " G"]:
    """Fraction of each person's labelled keypoints that are occluded (visibility 1); 0 without any."""
    labelled = (ground_truth.visibility > 0).sum(axis=1)
    return np.divide((ground_truth.visibility == 1).sum(axis=1), labelled, out=np.zeros(len(ground_truth)), where=labelled > 0)


def crowd_index(ground_truth: GroundTruth) -> Float[np.ndarray, " I"]:
    """Crowdedness of each image in 0..1: mean over its people of others' labelled keypoints in the box over their own.

    Reference:
        Li et al., CrowdPose, CVPR 2019, eq. 9.
    """
    owners, others = pair_up(ground_truth.image_index, ground_truth.image_index, len(ground_truth.image_ids))
    owners, others = owners[owners != others], others[owners != others]
    low, extent = ground_truth.bbox_xywh[owners, None, :2], ground_truth.bbox_xywh[owners, None, 2:]
    points = ground_truth.keypoints[others]
    inside = ((points >= low) & (points <= low + extent)).all(axis=2) & (ground_truth.visibility[others] > 0)
    intruding = np.bincount(owners, inside.sum(axis=1), minlength=len(ground_truth))
    own = np.maximum((ground_truth.visibility > 0).sum(axis=1), 1)
    counted = ~ground_truth.ignored
    total = np.bincount(ground_truth.image_index[counted], np.minimum(intruding / own, 1)[counted], minlength=len(ground_truth.image_ids))
    people: Int[np.ndarray, " I"] = np.bincount(ground_truth.image_index[counted], minlength=len(ground_truth.image_ids))
    return np.divide(total, people, out=np.zeros(len(people)), where=people > 0)


def _outside_sizes(area: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "3 N"]:
    return (area[None] < AREA_RANGES[:, :1]) | (area[None] > AREA_RANGES[:, 1:])
