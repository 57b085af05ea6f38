"""COCO person keypoints, and a user's own set in COCO's format with a skeleton of its own."""

from __future__ import annotations

from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco_format import CocoFile

SKELETON = "coco17"


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split; those without keypoints and crowds stay in the table.

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in COCO's format.
    """
    file = CocoFile.open(config, split, name=name)
    file.check_keypoint_names(source)
    return file.to_annotations(source, target)
