"""A split of a benchmark as the parameters name it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from poseline.config import Benchmark, DatasetConfig
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco.files import read_coco
from poseline.datasets.mpii.annotations import read_mpii
from poseline.datasets.posetrack.annotations import read_posetrack


def read_split(dataset: Benchmark, config: DatasetConfig, split: Literal["train", "val"], skeleton: Skeleton) -> Annotations:
    """The annotations of one split with its keypoints in ``skeleton``.

    Raises:
        DataError: a file is missing or against its format.
    """
    part = config.train if split == "train" else config.val
    path = annotation_path(config, part.annotations)
    match dataset:
        case "coco":
            return read_coco(path, part.images, split=split, skeleton=skeleton)
        case "mpii":
            heads = annotation_path(config, config.head_boxes) if config.head_boxes and split == "val" else None
            return read_mpii(path, part.images, split=split, skeleton=skeleton, head_boxes=heads)
        case "posetrack":
            return read_posetrack(path, part.images, split=split, skeleton=skeleton)


def annotation_path(config: DatasetConfig, name: str) -> Path:
    """``name`` within the set's annotation folder; the annotation file itself where ``annotations`` is a file."""
    return config.annotations if config.annotations.is_file() else config.annotations / name
