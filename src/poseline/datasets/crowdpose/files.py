"""CrowdPose: COCO's format with 14 keypoints, a crowd index an image and no areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco_format import check_keypoint_names, read_file, to_annotations
from poseline.datasets.json_files import expect_mapping, number, section
from poseline.datasets.sets import split_files

SKELETON = "crowdpose14"


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split; area is 0.53 of the box, and ``images`` has the extra column crowd_index (0..1, NaN where not given).

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in CrowdPose's format.

    Reference:
        Li et al., CrowdPose, CVPR 2019: easy, medium and hard are crowd indices up to 0.1, up to 0.8 and above.
    """
    part, path = split_files(config, split, name=name)
    content = read_file(path)
    check_keypoint_names(content, source, path=path)
    found = to_annotations(content, part, path=path, name=name, split=split, source=source, target=target, has_area=False)
    entries = [expect_mapping(entry, where=f"{path}: images") for entry in section(content, "images", where=str(path))]
    crowd_index = np.asarray([number(entry.get("crowdIndex")) for entry in entries], dtype=np.float32)
    return replace(found, images=found.images.assign(crowd_index=crowd_index))
