"""Annotation files read as the pipeline reads them, for tests of the formats."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS
from poseline.config import DatasetConfig, SplitConfig
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import HEAD_COLUMNS, Annotations
from poseline.datasets.formats import load_format, set_skeleton


def read_format(
    format_name: str, path: Path, images: Path, *, split: Literal["train", "val"], skeleton: Skeleton, head_boxes: Path | None = None
) -> Annotations:
    """One annotation file or folder of a format, people in ``skeleton``."""
    config = DatasetConfig.model_validate(
        {
            "format": format_name,
            "annotations": path.parent,
            split: SplitConfig(annotations=path.name, images=images),
            "head_boxes": str(head_boxes.relative_to(path.parent)) if head_boxes else None,
        }
    )
    read = load_format(format_name).read_annotations
    return read(config, split, name=format_name, source=set_skeleton(config, name=format_name), target=skeleton)


def tabulate(annotations: Annotations) -> pd.DataFrame:
    """The rows of the people with their boxes, areas and track ids."""
    poses = annotations.people.poses
    boxes = dict(zip(BBOX_COLUMNS, poses.bbox_xyxy.T, strict=True))
    return annotations.people.rows.assign(**boxes, area=poses.area, track_id=poses.track_ids)


def arrays(annotations: Annotations) -> SimpleNamespace:
    """The arrays of the people, head boxes among them."""
    poses = annotations.people.poses
    heads = annotations.people.rows[list(HEAD_COLUMNS)].to_numpy(np.float32)
    return SimpleNamespace(bbox_xyxy=poses.bbox_xyxy, keypoints=poses.keypoints, visibility=poses.visibility, head_xyxy=heads)
