"""Annotation files in COCO's format, whatever data set, and COCO result files of detected boxes.

Reference: https://cocodataset.org/#format-data. Pixels from 0; bbox is x, y, width, height and x2 = x + width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS
from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations, RawPeople, image_table, tabulate_people
from poseline.datasets.categories import Category, of_category, person_category
from poseline.datasets.json_files import (
    Json,
    expect_list,
    expect_mapping,
    file_name,
    flag,
    floats,
    integer,
    number,
    numbers,
    read_entries,
    read_json,
    section,
)
from poseline.datasets.sets import split_files
from poseline.errors import DataError

Content = dict[str, Json]
PERSON = Category(1, "person")
"""What detectors of COCO's 80 classes call a person."""


@dataclass(frozen=True)
class CocoFile:
    """The annotation file of one split in COCO's format.

    Attributes:
        dataset: name of the data set.
        split: train or val.
        images: folder of the images.
        path: of the file.
        content: of the file.
    """

    dataset: str
    split: str
    images: Path
    path: Path
    content: Content

    @classmethod
    def open(cls, config: DatasetConfig, split: Split, *, name: str) -> CocoFile:
        """The file that the parameters name for a split.

        Raises:
            DataError: it is missing, cut short, not JSON, or no object.
        """
        part, path = split_files(config, split, name=name)
        return cls(name, split, part.images, path, expect_mapping(read_json(path), where=str(path)))

    def entries(self, key: str) -> list[Content]:
        """The objects listed under a key.

        Raises:
            DataError: there is no such list, or an entry is no object.
        """
        listed = section(self.content, key, where=str(self.path))
        return [expect_mapping(entry, where=f"{self.path}: {key}[{i}]") for i, entry in enumerate(listed)]

    def category(self) -> Category | None:
        """The category of the people; None where the file lists none.

        Raises:
            DataError: the categories do not tell.
        """
        return person_category(self.content, where=str(self.path))

    def to_annotations(
        self,
        source: Skeleton,
        target: Skeleton,
        *,
        annotations: list[Content] | None = None,
        num_given: int | None = None,
        has_area: bool = True,
    ) -> Annotations:
        """The people of the file.

        Args:
            source: the keypoints that are read, the first of each person's list.
            target: the keypoints of the people.
            annotations: in place of those of the file, where a format's differ from COCO's.
            num_given: keypoints a person has in the file, where that is more than ``source`` has.
            has_area: whether the data set gives areas; else 0.53 of the box.

        Raises:
            DataError: the structure is not COCO's. Errors of content are left to the checks.
        """
        images = image_table(self.dataset, self.split, _image_rows(self))
        listed = self.entries("annotations") if annotations is None else annotations
        people, _ = of_category(listed, self.category(), path=self.path, what="annotations")
        raw = _raw_people(people, path=self.path, skeleton=source, num_given=num_given or source.num_keypoints, has_area=has_area)
        return Annotations(
            dataset=self.dataset, split=self.split, source=self.path, skeleton=source, images=images, raw=raw,
            people=tabulate_people(raw, images, source=source, target=target),
        )  # fmt: skip

    def check_keypoint_names(self, skeleton: Skeleton) -> None:
        """Nothing, where the file's person category names no keypoints or those of ``skeleton`` in that order.

        Raises:
            DataError: other names, another number or another order.
        """
        category = self.category()
        names = category.keypoints if category else ()
        where = f"{self.path}: categories"
        if names and len(names) != skeleton.num_keypoints:
            raise DataError(
                f"{where}: {len(names)} keypoint names, skeleton '{skeleton.name}' has {skeleton.num_keypoints}. "
                "Give a file of that skeleton or fix the category."
            )
        for position, name in enumerate(names):
            if skeleton.index(name) != position:
                expected = skeleton.keypoints[position]
                raise DataError(f"{where}: keypoint {position} is '{name}', expected '{expected}'. Fix the order or the names.")


def read_detections(path: Path, images: pd.DataFrame | None = None) -> pd.DataFrame:
    """Detected person boxes of a COCO result file: image_id, bbox_x1, bbox_y1, bbox_x2, bbox_y2, score; in file order.

    Args:
        path: a JSON list of {image_id, category_id, bbox xywh, score}; other categories than 1, COCO's person, are left out.
        images: the images that every image_id must be among; None checks nothing.

    Raises:
        DataError: another format, no detection of a person at all, an unknown image, or a box or score that is no finite number.
    """
    every = read_entries(path, expected="detections")
    entries, positions = of_category(every, PERSON, path=path, what="detections")
    kept = list(zip(positions, entries, strict=True))
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


def _image_rows(file: CocoFile) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for position, entry in enumerate(file.entries("images")):
        where = f"{file.path}: images[{position}]"
        rows.append(
            {
                "image_id": integer(entry, "id", where=where),
                "image_path": (file.images / file_name(entry, "file_name", where=where)).as_posix(),
                "width": integer(entry, "width", where=where, bits=32),
                "height": integer(entry, "height", where=where, bits=32),
            }
        )
    return rows


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
        is_crowd=np.asarray(
            [flag(entry, "iscrowd", where=f"{path}: annotation {i}") for entry, i in zip(people, ids, strict=True)], dtype=bool
        ),
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
    return floats(values)


def _given_counts(people: list[Content], *, comparable: bool) -> np.ndarray:
    counts = [number(entry.get("num_keypoints", -1)) if comparable else -1.0 for entry in people]
    return np.nan_to_num(np.asarray(counts, dtype=np.float64), nan=-1.0).astype(np.int64)
