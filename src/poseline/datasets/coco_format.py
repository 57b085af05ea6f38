"""Annotation files in COCO's format, whatever data set, and COCO result files of detected boxes.

Reference: https://cocodataset.org/#format-data. Pixels from 0; bbox is x, y, width, height and x2 = x + width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS
from poseline.config import SplitConfig
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations, RawPeople, image_table, tabulate_people
from poseline.datasets.json_files import Json, expect_list, expect_mapping, integer, number, numbers, read_json, section, text
from poseline.errors import DataError

Content = dict[str, Json]


def read_file(path: Path) -> Content:
    """The content of an annotation file.

    Raises:
        DataError: the file is missing, cut short, not JSON, or no object.
    """
    return expect_mapping(read_json(path), where=str(path))


def to_annotations(
    content: Content,
    part: SplitConfig,
    *,
    path: Path,
    name: str,
    split: str,
    source: Skeleton,
    target: Skeleton,
    num_given: int | None = None,
    has_area: bool = True,
) -> Annotations:
    """The content of a file in COCO's format as annotations.

    Args:
        content: of the file.
        part: names the folder of the images.
        path: of the file, for messages.
        name: of the data set.
        split: train or val.
        source: the keypoints that are read, the first of each person's list.
        target: the keypoints of the people.
        num_given: keypoints a person has in the file, where that is more than ``source`` has.
        has_area: whether the data set gives areas; else 0.53 of the box.

    Raises:
        DataError: the structure is not COCO's. Errors of content are left to the checks.
    """
    images = image_table(name, split, _image_rows(section(content, "images", where=str(path)), part.images, path=path))
    people = _person_entries(content, path=path)
    raw = _raw_people(people, path=path, skeleton=source, num_given=num_given or source.num_keypoints, has_area=has_area)
    return Annotations(
        dataset=name, split=split, source=path, skeleton=source, images=images, raw=raw,
        people=tabulate_people(raw, images, source=source, target=target),
    )  # fmt: skip


def check_keypoint_names(content: Content, skeleton: Skeleton, *, path: Path) -> None:
    """Nothing, where the file's person category names no keypoints or those of ``skeleton`` in that order.

    Raises:
        DataError: other names, another number or another order.
    """
    for category in section(content, "categories", where=str(path)) if "categories" in content else []:
        names = expect_mapping(category, where=f"{path}: categories").get("keypoints")
        if not isinstance(names, list) or not names:
            continue
        if len(names) != skeleton.num_keypoints:
            raise DataError(
                f"{path}: categories: {len(names)} keypoint names, skeleton '{skeleton.name}' has {skeleton.num_keypoints}. "
                "Give a file of that skeleton or fix the category."
            )
        for position, (name, expected) in enumerate(zip(names, skeleton.keypoints, strict=True)):
            if skeleton.index(str(name)) != position:
                raise DataError(f"{path}: categories: keypoint {position} is '{name}', expected '{expected}'. Fix the order or the names.")


def read_detections(path: Path, images: pd.DataFrame | None = None) -> pd.DataFrame:
    """Detected person boxes of a COCO result file: image_id, bbox_x1, bbox_y1, bbox_x2, bbox_y2, score; in file order.

    Args:
        path: a JSON list of {image_id, category_id, bbox xywh, score}; other categories than 1 are left out.
        images: the images that every image_id must be among; None checks nothing.

    Raises:
        DataError: another format, no detection at all, an unknown image, or a box or score that is no finite number.
    """
    entries = [expect_mapping(e, where=f"{path}: entry {i}") for i, e in enumerate(expect_list(read_json(path), where=str(path)))]
    if not entries:
        raise DataError(f"{path}: expected detections, got an empty list. Run the detector again.")
    kept = [(i, entry) for i, entry in enumerate(entries) if entry.get("category_id", 1) == 1]
    if not kept:
        raise DataError(f"{path}: none of its {len(entries)} detections is a person (category_id 1). Give a person detector's results.")
    ids = np.asarray([integer(entry, "image_id", where=f"{path}: entry {i}") for i, entry in kept], dtype=np.int64)
    boxes = np.asarray([numbers(entry.get("bbox"), 4, where=f"{path}: entry {i}: 'bbox'") for i, entry in kept], dtype=np.float64)
    scores = np.asarray([number(entry.get("score")) for _, entry in kept], dtype=np.float64)
    bad = ~np.isfinite(boxes).all(axis=1) | ~np.isfinite(scores)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: entry {kept[first][0]}: expected finite box and score, got {kept[first][1].get('bbox')} and "
            f"{kept[first][1].get('score')} ({int(bad.sum())} such entries). Fix the detector's output."
        )
    _check_known(ids, images, path=path)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)
    columns = {name: corners[:, i] for i, name in enumerate(BBOX_COLUMNS)}
    return pd.DataFrame({"image_id": ids, **columns, "score": scores.astype(np.float32)})


def _check_known(ids: np.ndarray, images: pd.DataFrame | None, *, path: Path) -> None:
    if images is None:
        return
    unknown = np.unique(ids[~np.isin(ids, images["image_id"].to_numpy())])
    if len(unknown):
        raise DataError(
            f"{path}: image {unknown[0]} is not among the {len(images)} images of the annotations ({len(unknown)} such images). "
            "Give the detections of this split."
        )


def _image_rows(entries: list[Json], folder: Path, *, path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for position, value in enumerate(entries):
        where = f"{path}: images[{position}]"
        entry = expect_mapping(value, where=where)
        rows.append(
            {
                "image_id": integer(entry, "id", where=where),
                "image_path": (folder / text(entry, "file_name", where=where)).as_posix(),
                "width": integer(entry, "width", where=where),
                "height": integer(entry, "height", where=where),
            }
        )
    return rows


def _person_entries(content: Content, *, path: Path) -> list[Content]:
    """The annotations of the person category; all of them where the file lists no categories."""
    listed = section(content, "categories", where=str(path)) if "categories" in content else []
    categories = [expect_mapping(entry, where=f"{path}: categories") for entry in listed]
    others = {entry.get("id") for entry in categories if entry.get("name") != "person" and not entry.get("keypoints")}
    entries = section(content, "annotations", where=str(path))
    people = [expect_mapping(entry, where=f"{path}: annotations[{i}]") for i, entry in enumerate(entries)]
    return [entry for entry in people if entry.get("category_id") not in others]


def _raw_people(people: list[Content], *, path: Path, skeleton: Skeleton, num_given: int, has_area: bool) -> RawPeople:
    ids = [integer(entry, "id", where=f"{path}: annotations[{i}]") for i, entry in enumerate(people)]
    n, k = len(people), skeleton.num_keypoints
    triplets = np.zeros((n, 3 * num_given))
    for row, (entry, annotation_id) in enumerate(zip(people, ids, strict=True)):
        triplets[row] = _keypoint_values(entry, num_given, where=f"{path}: annotation {annotation_id}", skeleton=skeleton)
    points = triplets[:, : 3 * k].reshape(n, k, 3)
    boxes = np.asarray(
        [numbers(entry.get("bbox"), 4, where=f"{path}: annotation {i}: 'bbox'") for entry, i in zip(people, ids, strict=True)]
    ).reshape(n, 4)
    return RawPeople(
        annotation_id=np.asarray(ids, dtype=np.int64),
        image_id=np.asarray(
            [integer(entry, "image_id", where=f"{path}: annotation {i}") for entry, i in zip(people, ids, strict=True)], dtype=np.int64
        ),
        bbox_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        area=np.asarray([number(entry.get("area")) for entry in people]) if has_area else np.full(n, np.nan),
        is_crowd=np.asarray([bool(entry.get("iscrowd", 0)) for entry in people], dtype=bool),
        given_num_keypoints=_given_counts(people, comparable=num_given == k),
        keypoints=points[..., :2],
        visibility=points[..., 2],
        head_xyxy=np.full((n, 4), np.nan),
        track_id=np.full(n, -1, dtype=np.int64),
    )


def _keypoint_values(entry: Content, num_given: int, *, where: str, skeleton: Skeleton) -> list[float]:
    """3K values of one person; zeros where it has no 'keypoints' (instances without labels)."""
    values = entry.get("keypoints")
    if values is None or values == []:
        return [0.0] * (3 * num_given)
    values = expect_list(values, where=f"{where}: 'keypoints'")
    if len(values) != 3 * num_given:
        raise DataError(
            f"{where}: expected {num_given} keypoints (skeleton '{skeleton.name}'), got {len(values) / 3:g}. "
            "Give a file of that skeleton or fix the annotation."
        )
    return [number(value) for value in values]


def _given_counts(people: list[Content], *, comparable: bool) -> np.ndarray:
    counts = [number(entry.get("num_keypoints", -1)) if comparable else -1.0 for entry in people]
    return np.nan_to_num(np.asarray(counts, dtype=np.float64), nan=-1.0).astype(np.int64)
