"""Official files in COCO's format for scoring: annotation and result JSON, checked where the official tools stay silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poseline.core.boxes import AREA_OF_BOX
from poseline.datasets.categories import Category, of_category, person_category
from poseline.datasets.json_files import (
    Entries,
    check_unique,
    expect_mapping,
    finite_matrix,
    finite_numbers,
    flag,
    integer,
    integers,
    objects,
    read_entries,
    read_json,
    section,
    shown,
)
from poseline.errors import DataError
from poseline.metrics.keypoint_types import GroundTruth, Predictions

BODY = ("keypoints",)
WHOLEBODY_PARTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
PART_SCORES = {**{part: f"{part}_score" for part in ("foot", "face", "lefthand", "righthand")}, "whole": "wholebody_score"}
"""Part of COCO-WholeBody -> key of its score in results."""
BODY_KEYPOINTS = 17


def read_ground_truth(path: Path, *, parts: tuple[str, ...] = BODY, area_from_box: bool = False) -> GroundTruth:
    """The people of an annotation file in COCO's format, those of its one category with keypoints.

    Args:
        path: the JSON file.
        parts: keys whose keypoint lists are joined; :data:`WHOLEBODY_PARTS` for COCO-WholeBody.
        area_from_box: take 0.53 of the box for the area (CrowdPose has no masks).

    Raises:
        DataError: missing, cut short or in another format; ids given twice; an image that is not listed; a keypoint list of
            another length; a number that is not finite; an area that is missing; annotations of other categories alone.
    """
    path = Path(path)
    content = expect_mapping(read_json(path), where=str(path))
    images = objects(section(content, "images", where=str(path)), where=f"{path}: images")
    every = objects(section(content, "annotations", where=str(path)), where=f"{path}: annotations")
    category = person_category(content, where=str(path))
    people, positions = of_category(every, category, path=path, what="annotations")
    if not images:
        raise DataError(f"{path}: expected at least one image under 'images', got none. Give the annotations of a whole split.")
    image_ids = integers(images, "id", where=[f"{path}: images: entry {i}" for i in range(len(images))])
    annotation_ids = integers(people, "id", where=[f"{path}: annotations: entry {i}" for i in positions])
    check_unique(image_ids, "image", where=str(path))
    check_unique(annotation_ids, "annotation", where=str(path))
    where = [f"{path}: annotation {i}" for i in annotation_ids]
    person_images = integers(people, "image_id", where=where)
    _check_known(person_images, image_ids, "is not listed under 'images'", where)
    points = _keypoints(people, parts, where) if people else _nobody(category, parts, path)
    boxes = finite_matrix(people, "bbox", 4, where=where)
    # Halpe gives confidences between 0 and 1 for visibilities; to pycocotools anything above 0 is labelled.
    visibility = np.clip(np.ceil(points[..., 2]), 0, 2).astype(np.uint8)
    counts = _given_counts(people, where) if parts == BODY else np.full(len(people), -1)
    return GroundTruth.from_arrays(
        image_ids,
        person_images,
        annotation_ids=annotation_ids,
        keypoints=points[..., :2],
        visibility=visibility,
        num_keypoints=np.where(counts >= 0, counts, (visibility > 0).sum(axis=1)),
        area=_areas_of_boxes(boxes) * AREA_OF_BOX if area_from_box else finite_numbers(people, "area", where=where),
        bbox_xywh=boxes,
        is_crowd=np.array([flag(entry, "iscrowd", where=place) for entry, place in zip(people, where, strict=True)], dtype=bool),
        crowd_index=_crowd_index(images, path),
        category_id=category.id if category else _only_category(people),
    )


def read_predictions(path: Path, ground_truth: GroundTruth, *, parts: tuple[str, ...] = BODY, subsets: tuple[int, ...] = ()) -> Predictions:
    """The detections of a result file: a list of {image_id, category_id, keypoints, score}, those of the ground truth's category.

    Where the entries carry a ``bbox`` its area decides what counts as outside a size, as in pycocotools. Parts may also be
    given as one list under ``keypoints``. Results of one of the ``subsets`` have the first so many of the ground truth's keypoints.

    Raises:
        DataError: missing, empty, cut short or in another format; an image that the ground truth lacks; a keypoint list of another
            length; a score, keypoint or box that is not finite; results of other categories alone.
    """
    path = Path(path)
    every = read_entries(path, expected="at least one detection")
    category = Category(ground_truth.category_id) if ground_truth.category_id is not None else None
    entries, positions = of_category(every, category, path=path, what="results")
    where = [f"{path}: entry {i}" for i in positions]
    image_ids = integers(entries, "image_id", where=where)
    _check_known(image_ids, ground_truth.image_ids, "is not in the ground truth", where)
    num_keypoints = ground_truth.keypoints.shape[1]
    points = _keypoints(entries, BODY if all(key not in entries[0] for key in parts[1:]) else parts, where)
    if points.shape[1] in subsets:
        ground_truth = first_keypoints(ground_truth, points.shape[1])
    elif points.shape[1] != num_keypoints:
        raise DataError(
            f"{where[0]} has {points.shape[1]} keypoints, the ground truth has {num_keypoints}. Give predictions of the same skeleton."
        )
    scores = finite_numbers(entries, "score", where=where)
    if any(entry.get("bbox") not in (None, []) for entry in entries):
        area = _areas_of_boxes(finite_matrix(entries, "bbox", 4, where=where))
    else:
        # In full-body predictions the body alone sets the area, as in that benchmark's tool.
        area = np.prod(np.ptp(points[:, :BODY_KEYPOINTS] if len(parts) > 1 else points, axis=1)[:, :2], axis=1)
    found = Predictions.from_arrays(
        ground_truth, image_ids, keypoints=points[..., :2], keypoint_scores=points[..., 2], scores=scores, area=area
    )
    return replace(found, part_scores=_part_scores(entries, where)) if len(parts) > 1 else found


def _part_scores(entries: Entries, where: list[str]) -> dict[str, Float[np.ndarray, " N"]]:
    """The score of each part by which its poses are ranked, where results have any; the person's where an entry has none."""
    found = {}
    for part, key in PART_SCORES.items():
        if any(entry.get(key) is not None for entry in entries):
            filled: Entries = [{key: entry["score"] if entry.get(key) is None else entry[key]} for entry in entries]
            found[part] = finite_numbers(filled, key, where=where)
    return found


def first_keypoints(ground_truth: GroundTruth, count: int) -> GroundTruth:
    """The ground truth with the first ``count`` of its keypoints; a person is ignored by all of them, as the file says."""
    return replace(ground_truth, keypoints=ground_truth.keypoints[:, :count], visibility=ground_truth.visibility[:, :count])


def _nobody(category: Category | None, parts: tuple[str, ...], path: Path) -> Float[np.ndarray, "0 K 3"]:
    """No keypoints, as many a person as the category names."""
    if category is None or not category.keypoints or parts != BODY:
        raise DataError(f"{path}: nobody is annotated in it. Give the annotations of a split with people.")
    return np.zeros((0, len(category.keypoints), 3))


def _given_counts(people: Entries, where: list[str]) -> Int[np.ndarray, " N"]:
    """num_keypoints as the file says it; -1 where it does not."""
    known = [entry.get("num_keypoints") is not None for entry in people]
    counts = [integer(e, "num_keypoints", where=w) if k else -1 for e, w, k in zip(people, where, known, strict=True)]
    bad = next((i for i, count in enumerate(counts) if known[i] and count < 0), None)
    if bad is not None:
        raise DataError(f"{where[bad]}: expected 'num_keypoints' from 0 on, got {counts[bad]}. Fix the file.")
    return np.array(counts, dtype=np.int64)


def _only_category(people: Entries) -> int | None:
    """The category of every annotation, where the file lists none."""
    ids = {value for entry in people if isinstance(value := entry.get("category_id"), int | float)}
    return integer({"category_id": ids.pop()}, "category_id", where="annotations") if len(ids) == 1 else None


def _check_known(ids: Int[np.ndarray, " N"], known: Int[np.ndarray, " I"], problem: str, where: list[str]) -> None:
    unknown = np.flatnonzero(~np.isin(ids, known))
    if len(unknown):
        more = f" ({len(unknown)} such entries)" if len(unknown) > 1 else ""
        raise DataError(f"{where[unknown[0]]}: image_id {ids[unknown[0]]} {problem}{more}. Give files of the same split.")


def _keypoints(entries: Entries, parts: tuple[str, ...], where: list[str]) -> Float[np.ndarray, "N K 3"]:
    """x, y and flag (or score) of each keypoint, the parts joined; every entry has as many as the first."""
    joined = [np.zeros((len(entries), 0, 3))]
    for part in parts:
        lengths = []
        for entry, place in zip(entries, where, strict=True):
            row = entry.get(part)
            if not isinstance(row, list):
                raise DataError(f"{place}: expected a list '{part}', got {shown(entry, part)}. Fix the file.")
            lengths.append(len(row))
        length = lengths[0] if lengths else 3
        if length % 3:
            raise DataError(f"{where[0]}: '{part}' has {length} numbers, expected a multiple of 3 (x, y, flag). Fix the file.")
        joined.append(finite_matrix(entries, part, length, where=where).reshape(len(entries), length // 3, 3))
    return np.concatenate(joined, axis=1)


def _areas_of_boxes(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    area: Float[np.ndarray, " N"] = boxes[:, 2] * boxes[:, 3]
    return area


def _crowd_index(images: Entries, path: Path) -> Float[np.ndarray, " I"] | None:
    """CrowdPose's crowd index of each image; None where no image has one."""
    if all(entry.get("crowdIndex") is None for entry in images):
        return None
    return finite_numbers(images, "crowdIndex", where=[f"{path}: images: entry {i}" for i in range(len(images))])
