"""Halpe full body -> person records: COCO's form with 136 keypoints, of which the first 26 are the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco.files import read_coco_form
from poseline.datasets.json_files import Json, expect_mapping, read_json, section

FULL_BODY = 136
MIN_CONFIDENCE = 0.35


def read_halpe(annotations: Path, images: Path, *, split: str, skeleton: Skeleton) -> Annotations:
    """Halpe people by their 26 body keypoints, from files of 26 or of 136 keypoints a person.

    Some releases give a confidence in place of the flag: below 0.35 counts as unlabelled, as in AlphaPose, above as visible.

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in Halpe's form.
    """
    source = load_skeleton("halpe26")
    content = expect_mapping(read_json(annotations), where=str(annotations))
    entries = section(content, "annotations", where=str(annotations))
    people = [expect_mapping(entry, where=f"{annotations}: annotations[{i}]") for i, entry in enumerate(entries)]
    lengths = {len(values) for entry in people if isinstance(values := entry.get("keypoints"), list)}
    num_given = FULL_BODY if 3 * FULL_BODY in lengths else source.num_keypoints
    content = {**content, "annotations": [{**entry, "keypoints": _flags(entry.get("keypoints"))} for entry in people]}
    return read_coco_form(
        content, images, path=annotations, dataset="halpe", split=split, source=source, target=skeleton, num_given=num_given
    )


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
