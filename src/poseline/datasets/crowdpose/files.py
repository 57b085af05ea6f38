"""CrowdPose -> person records. COCO's form with 14 keypoints, a crowd index a picture and no areas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.coco.files import check_keypoint_names, read_coco_form
from poseline.datasets.json_files import expect_mapping, number, read_json, section


def read_crowdpose(annotations: Path, images: Path, *, split: str, skeleton: Skeleton) -> Annotations:
    """CrowdPose people; area is 0.53 of the box, and ``images`` has the extra column crowd_index (0..1, NaN where not given).

    Raises:
        DataError: the file is missing, cut short, not JSON, or not in CrowdPose's form.

    Reference:
        Li et al., CrowdPose, CVPR 2019: easy, medium and hard are crowd indices up to 0.1, up to 0.8 and above.
    """
    source = load_skeleton("crowdpose14")
    content = expect_mapping(read_json(annotations), where=str(annotations))
    check_keypoint_names(content, source, path=annotations)
    read = read_coco_form(
        content, images, path=annotations, dataset="crowdpose", split=split, source=source, target=skeleton, has_area=False
    )
    entries = [expect_mapping(entry, where=f"{annotations}: images") for entry in section(content, "images", where=str(annotations))]
    crowd_index = np.asarray([number(entry.get("crowdIndex")) for entry in entries], dtype=np.float32)
    return replace(read, images=read.images.assign(crowd_index=crowd_index))
