"""What goes wrong and what the scores promise, as sections of a metrics file; and which errors grew from one file to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from poseline.config.params import Yaml
from poseline.core.skeletons import Skeleton
from poseline.evaluation.calibration import Reliability, measure_keypoints, measure_poses
from poseline.evaluation.error_kinds import KINDS, Diagnosis, compare_counts, correlate_scores, diagnose, localise, rate_gains
from poseline.metrics.keypoint_types import CocoResults, CocoTruth

WORST = 12


def diagnose_results(truth: CocoTruth, results: CocoResults, skeleton: Skeleton) -> dict[str, Yaml]:
    """The sections ``diagnosis``, ``score_quality`` and ``calibration`` of COCO-form results.

    ``diagnosis``: ``shares`` of the kinds of errors, what correcting each would give back (``ap_gain``), counts of people and
    detections, per keypoint its counts and the distance (over the root of the person's area) that half and nine tenths of its
    predictions stay within, and the worst people. ``calibration``: expected calibration error and the reliability curve of
    keypoint scores and of pose scores.
    """
    found = diagnose(truth, results, flip_permutation=skeleton.flip_permutation, sigmas=skeleton.sigma_array)
    diagnosis = {
        "shares": found.shares(),
        "ap_gain": rate_gains(truth, results, found, sigmas=skeleton.sigma_array),
        "people_found": len(found.truth_index),
        "people_missed": len(found.missed),
        "background": len(found.background),
        "duplicates": len(found.duplicates),
        "keypoints": _keypoint_rows(found, skeleton),
        "worst": _worst_people(truth, found),
    }
    calibration = {
        "keypoint_scores": _reliability(measure_keypoints(results, found)),
        "pose_scores": _reliability(measure_poses(truth, results, sigmas=skeleton.sigma_array)),
    }
    quality = {"rank_correlation": correlate_scores(results, found)}
    return cast("dict[str, Yaml]", {"diagnosis": diagnosis, "score_quality": quality, "calibration": calibration})


def name_grown_errors(before: Mapping[str, Yaml], after: Mapping[str, Yaml]) -> list[str]:
    """A phrase for each error of a keypoint that grew beyond chance between two metrics files, the largest growth first.

    Empty where one of them has no diagnosis.
    """
    tables = [_count_table(raw) for raw in (before, after)]
    names = tuple(name for name in tables[0] if name in tables[1])
    if not names:
        return []
    first, second = (np.array([table[name] for name in names]) for table in tables)
    grown = compare_counts(first, second, names)
    return [f"{keypoint} {kind} {100 * old:.1f} -> {100 * new:.1f} %" for keypoint, kind, old, new in grown]


def _keypoint_rows(found: Diagnosis, skeleton: Skeleton) -> dict[str, dict[str, float | int | None]]:
    counts = found.counts()
    half, most = localise(found)
    return {
        name: {
            **{kind: int(counts[joint, index]) for index, kind in enumerate(KINDS)},
            "distance_50": _known(half[joint]),
            "distance_90": _known(most[joint]),
        }
        for joint, name in enumerate(skeleton.keypoints)
    }


def _worst_people(truth: CocoTruth, found: Diagnosis) -> list[dict[str, float | int]]:
    rows = found.worst(WORST)
    return [
        {
            "image_id": int(truth.image_ids[truth.image_index[person]]),
            "annotation_id": int(truth.annotation_ids[person]),
            "oks": float(oks),
        }
        for person, oks in zip(found.truth_index[rows], found.oks[rows], strict=True)
    ]


def _reliability(measured: Reliability) -> dict[str, Yaml]:
    bins: list[Yaml] = [
        {"score": _known(score), "outcome": _known(outcome), "count": int(count)}
        for score, outcome, count in zip(measured.mean_score, measured.mean_outcome, measured.counts, strict=True)
    ]
    return {"ece": measured.error, "bins": bins}


def _count_table(raw: Mapping[str, Yaml]) -> dict[str, list[int]]:
    """Keypoint -> counts of the kinds of errors, as a metrics file has them."""
    diagnosis = raw.get("diagnosis")
    keypoints = diagnosis.get("keypoints") if isinstance(diagnosis, dict) else None
    if not isinstance(keypoints, dict):
        return {}
    rows = {name: [entry.get(kind) for kind in KINDS] for name, entry in keypoints.items() if isinstance(entry, dict)}
    return {name: cast("list[int]", row) for name, row in rows.items() if all(isinstance(count, int) for count in row)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
