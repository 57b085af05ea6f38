"""Halpe full body: COCO's format with 136 keypoints, of which the first 26 are the body."""

from __future__ import annotations

import numpy as np

from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco_format import CocoFile
from poseline.datasets.json_files import Json

SKELETON = "halpe26"
FULL_BODY = 136
MIN_CONFIDENCE = 0.35


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split by their 26 body keypoints (or all, with ``skeleton: halpe136``), from files of 26 or 136 keypoints a person.

    Some releases give a confidence in place of the flag: below 0.35 counts as unlabelled, as in AlphaPose, above as visible.

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in Halpe's format.
    """
    file = CocoFile.open(config, split, name=name)
    people = file.entries("annotations")
    lengths = {len(values) for entry in people if isinstance(values := entry.get("keypoints"), list)}
    num_given = FULL_BODY if 3 * FULL_BODY in lengths else source.num_keypoints
    flagged = [{**entry, "keypoints": _flags(entry.get("keypoints"))} for entry in people]
    return file.to_annotations(source, target, annotations=flagged, num_given=num_given)


def _flags(values: Json) -> Json:
    """The keypoint list with confidences between 0 and 1 turned into flags 0 or 2."""
    if not isinstance(values, list):
        return values
    fixed: list[Json] = list(values)
    for position in range(2, len(fixed), 3):
        flag = fixed[position]
        if isinstance(flag, float) and np.isfinite(flag) and flag not in (0.0, 1.0, 2.0) and 0 < flag < 1:
            fixed[position] = 2 if flag >= MIN_CONFIDENCE else 0
    return fixed
