"""CrowdPose: COCO's format with 14 keypoints, a crowd index an image and no areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poseline.config import DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco_format import CocoFile
from poseline.datasets.json_files import number

SKELETON = "crowdpose14"


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split; area is 0.53 of the box, and ``images`` has the extra column crowd_index (0..1, NaN where not given).

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in CrowdPose's format.

    Reference:
        Li et al., CrowdPose, CVPR 2019: easy, medium and hard are crowd indices up to 0.1, up to 0.8 and above.
    """
    file = CocoFile.open(config, split, name=name)
    file.check_keypoint_names(source)
    found = file.to_annotations(source, target, has_area=False)
    crowd_index = np.asarray([number(entry.get("crowdIndex")) for entry in file.entries("images")], dtype=np.float32)
    return replace(found, images=found.images.assign(crowd_index=crowd_index))
