"""COCO-WholeBody: COCO's format with feet, face and hands in lists of their own, 133 keypoints in all."""

from __future__ import annotations

from pathlib import Path

from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco_format import CocoFile, Content
from poseline.datasets.json_files import Json, expect_list

SKELETON = "wholebody133"
PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
"""List of a person -> its keypoints."""


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split with their 133 keypoints.

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in the format of COCO-WholeBody.
    """
    file = CocoFile.open(config, split, name=name)
    people = [_join_parts(entry, path=file.path) for entry in file.entries("annotations")]
    return file.to_annotations(source, target, annotations=people)


def _join_parts(entry: Content, *, path: Path) -> Content:
    """The person with all its keypoints in one list; confidences become visibility 2, and num_keypoints (the body's) is left out."""
    where = f"{path}: annotation {entry.get('id')}"
    values: list[Json] = []
    for part, count in PARTS.items():
        given = entry.get(part)
        values += expect_list(given, where=f"{where}: '{part}'") if given is not None else [0] * (3 * count)
    values[2::3] = [2 if isinstance(flag, float) and flag > 0 and flag not in (1.0, 2.0) else flag for flag in values[2::3]]
    return {key: value for key, value in entry.items() if key != "num_keypoints"} | {"keypoints": values}
