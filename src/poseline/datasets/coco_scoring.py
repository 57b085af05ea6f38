"""Official files in COCO's format for scoring: annotation and result JSON, checked where the official tools stay silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poseline.core.boxes import AREA_OF_BOX
from poseline.datasets.json_files import Json, expect_list, expect_mapping, kind_of, read_json, section
from poseline.errors import DataError
from poseline.metrics.keypoint_types import GroundTruth, Predictions

BODY = ("keypoints",)
WHOLEBODY_PARTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
BODY_KEYPOINTS = 17

Entries = list[dict[str, Json]]


def read_ground_truth(path: Path, *, parts: tuple[str, ...] = BODY, area_from_box: bool = False) -> GroundTruth:
    """The people of an annotation file in COCO's format.

    Args:
        path: the JSON file.
        parts: keys whose keypoint lists are joined; :data:`WHOLEBODY_PARTS` for COCO-WholeBody.
        area_from_box: take 0.53 of the box for the area (CrowdPose has no masks).

    Raises:
        DataError: missing, cut short or in another format; ids given twice; an image that is not listed; a keypoint list of
            another length; a number that is not finite; an area that is missing.
    """
    path = Path(path)
    content = expect_mapping(read_json(path), where=str(path))
    images = [expect_mapping(entry, where=f"{path}: images") for entry in section(content, "images", where=str(path))]
    people = [expect_mapping(entry, where=f"{path}: annotations") for entry in section(content, "annotations", where=str(path))]
    people = _of_persons(people, content, path)
    if not images:
        raise DataError(f"{path}: expected at least one image under 'images', got none. Give the annotations of a whole split.")
    image_ids = _ids(images, "id", f"{path}: images")
    annotation_ids = _ids(people, "id", f"{path}: annotations")
    for what, ids in (("image", image_ids), ("annotation", annotation_ids)):
        values, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            raise DataError(f"{path}: {what} id {values[counts > 1][0]} is given {counts.max()} times, expected once. Fix the file.")
    person_images = _ids(people, "image_id", f"{path}: annotations")
    _check_known(person_images, image_ids, path, "is not listed under 'images'", [f"annotation {i}" for i in annotation_ids])
    points = _keypoints(people, parts, [f"{path}: annotation {i}" for i in annotation_ids])
    boxes = _boxes(people, [f"{path}: annotation {i}" for i in annotation_ids])
    # Halpe gives confidences between 0 and 1 for visibilities; to pycocotools anything above 0 is labelled.
    visibility = np.clip(np.ceil(points[..., 2]), 0, 2).astype(np.uint8)
    labelled = [entry.get("num_keypoints") for entry in people] if parts == BODY else []
    counts = np.array([value if isinstance(value, int) else -1 for value in labelled] or np.full(len(people), -1), dtype=np.int64)
    return GroundTruth.from_arrays(
        image_ids,
        person_images,
        annotation_ids=annotation_ids,
        keypoints=points[..., :2],
        visibility=visibility,
        num_keypoints=np.where(counts >= 0, counts, (visibility > 0).sum(axis=1)),
        area=_areas_of_boxes(boxes) * AREA_OF_BOX if area_from_box else _areas(people, annotation_ids, path),
        bbox_xywh=boxes,
        is_crowd=np.array([bool(entry.get("iscrowd", 0)) for entry in people], dtype=bool),
        crowd_index=_crowd_index(images),
    )


def read_predictions(path: Path, ground_truth: GroundTruth, *, parts: tuple[str, ...] = BODY, subsets: tuple[int, ...] = ()) -> Predictions:
    """The detections of a result file: a list of {image_id, category_id, keypoints, score}.

    Where the entries carry a ``bbox`` its area decides what counts as outside a size, as in pycocotools. Parts may also be
    given as one list under ``keypoints``. Results of one of the ``subsets`` have the first so many of the ground truth's keypoints.

    Raises:
        DataError: missing, empty, cut short or in another format; an image that the ground truth lacks; a keypoint list of another
            length; a score, keypoint or box that is not finite.
    """
    path = Path(path)
    entries = [expect_mapping(entry, where=f"{path}: entry {i}") for i, entry in enumerate(expect_list(read_json(path), where=str(path)))]
    if not entries:
        raise DataError(f"{path}: expected at least one detection, got an empty list. Predict again, or give another file.")
    where = [f"{path}: entry {i}" for i in range(len(entries))]
    image_ids = _ids(entries, "image_id", f"{path}: entries")
    _check_known(image_ids, ground_truth.image_ids, path, "is not in the ground truth", [f"entry {i}" for i in range(len(entries))])
    num_keypoints = ground_truth.keypoints.shape[1]
    points = _keypoints(entries, BODY if all(key not in entries[0] for key in parts[1:]) else parts, where)
    if points.shape[1] in subsets:
        ground_truth = first_keypoints(ground_truth, points.shape[1])
    elif points.shape[1] != num_keypoints:
        raise DataError(
            f"{where[0]} has {points.shape[1]} keypoints, the ground truth has {num_keypoints}. Give predictions of the same skeleton."
        )
    scores = _numbers(entries, "score", where)
    has_box = isinstance(entries[0].get("bbox"), list) and entries[0]["bbox"] != []
    if has_box:
        area = _areas_of_boxes(_boxes(entries, where))
    else:
        # In full-body predictions the body alone sets the area, as in that benchmark's tool.
        area = np.prod(np.ptp(points[:, :BODY_KEYPOINTS] if len(parts) > 1 else points, axis=1)[:, :2], axis=1)
    return Predictions.from_arrays(
        ground_truth, image_ids, keypoints=points[..., :2], keypoint_scores=points[..., 2], scores=scores, area=area
    )


def first_keypoints(ground_truth: GroundTruth, count: int) -> GroundTruth:
    """The ground truth with the first ``count`` of its keypoints; a person is ignored by all of them, as the file says."""
    return replace(ground_truth, keypoints=ground_truth.keypoints[:, :count], visibility=ground_truth.visibility[:, :count])


def _of_persons(people: Entries, content: dict[str, Json], path: Path) -> Entries:
    """The annotations of the one category that has keypoints."""
    categories = content.get("categories")
    if not isinstance(categories, list) or len(categories) < 2:
        return people
    listed = [entry for entry in categories if isinstance(entry, dict) and entry.get("keypoints")]
    if len(listed) != 1:
        raise DataError(f"{path}: {len(listed)} categories have keypoints, expected one (person). Give the keypoint annotations.")
    return [entry for entry in people if entry.get("category_id") == listed[0].get("id")]


def _ids(entries: Entries, key: str, where: str) -> Int[np.ndarray, " N"]:
    values = [entry.get(key) for entry in entries]
    if set(map(type, values)) - {int}:
        index = next(i for i, value in enumerate(values) if type(value) is not int)
        raise DataError(f"{where}: entry {index}: expected an integer '{key}', got {_found(entries[index], key)}. Fix the file.")
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        raise DataError(f"{where}: expected '{key}' below 2^63, got a larger one. Fix the file.") from None


def _check_known(ids: Int[np.ndarray, " N"], known: Int[np.ndarray, " I"], path: Path, problem: str, names: list[str]) -> None:
    unknown = np.flatnonzero(~np.isin(ids, known))
    if len(unknown):
        more = f" ({len(unknown)} such entries)" if len(unknown) > 1 else ""
        raise DataError(f"{path}: {names[unknown[0]]}: image_id {ids[unknown[0]]} {problem}{more}. Give files of the same split.")


def _keypoints(entries: Entries, parts: tuple[str, ...], where: list[str]) -> Float[np.ndarray, "N K 3"]:
    """x, y and flag (or score) of each keypoint, the parts joined; every entry has as many as the first."""
    joined = [np.zeros((len(entries), 0, 3))]
    for part in parts:
        rows = [entry.get(part) for entry in entries]
        if set(map(type, rows)) - {list}:
            index = next(i for i, row in enumerate(rows) if not isinstance(row, list))
            raise DataError(f"{where[index]}: expected a list '{part}', got {_found(entries[index], part)}. Fix the file.")
        length = len(rows[0]) if rows else 3  # type: ignore[arg-type]
        if length % 3:
            raise DataError(f"{where[0]}: '{part}' has {length} numbers, expected a multiple of 3 (x, y, flag). Fix the file.")
        joined.append(_matrix(entries, part, length, where).reshape(len(entries), length // 3, 3))
    return np.concatenate(joined, axis=1)


def _matrix(entries: Entries, key: str, length: int, where: list[str]) -> Float[np.ndarray, "N L"]:
    """The number lists under a key, all of one length and finite."""
    rows = [entry.get(key) for entry in entries]
    for row, place in zip(rows, where, strict=True):
        if not isinstance(row, list) or len(row) != length:
            found = f"{len(row)} numbers" if isinstance(row, list) else kind_of(row)
            expected = f"{length} numbers" + (f" ({length // 3} keypoints)" if key != "bbox" else "")
            raise DataError(f"{place}: '{key}' has {found}, expected {expected}. Fix the file or give the right skeleton.")
    try:
        values = np.array(rows, dtype=np.float64).reshape(len(rows), length)
    except (TypeError, ValueError, OverflowError):
        values = np.array([[_finite_or_nan(number) for number in row] for row in rows])  # type: ignore[union-attr]
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(f"{where[bad[0]]}: '{key}' holds NaN, infinity or no number, expected finite numbers. Fix the file.")
    return values


def _boxes(entries: Entries, where: list[str]) -> Float[np.ndarray, "N 4"]:
    return _matrix(entries, "bbox", 4, where)


def _numbers(entries: Entries, key: str, where: list[str]) -> Float[np.ndarray, " N"]:
    values = [entry.get(key) for entry in entries]
    known = np.array([_finite_or_nan(value) for value in values], dtype=np.float64)
    bad = np.flatnonzero(np.isnan(known))
    if len(bad):
        raise DataError(f"{where[bad[0]]}: expected a finite number '{key}', got {_found(entries[bad[0]], key)}. Fix the file.")
    return known


def _finite_or_nan(value: Json) -> float:
    """A finite number as float; NaN for anything else."""
    return float(value) if type(value) in (int, float) and abs(value) < 1e300 else float("nan")  # type: ignore[arg-type]


def _areas_of_boxes(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    area: Float[np.ndarray, " N"] = boxes[:, 2] * boxes[:, 3]
    return area


def _areas(people: Entries, annotation_ids: Int[np.ndarray, " G"], path: Path) -> Float[np.ndarray, " G"]:
    return _numbers(people, "area", [f"{path}: annotation {i}" for i in annotation_ids])


def _crowd_index(images: Entries) -> Float[np.ndarray, " I"] | None:
    values = [entry.get("crowdIndex") for entry in images]
    if not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _found(entry: dict[str, Json], key: str) -> str:
    return repr(entry[key])[:40] if key in entry else "nothing"
