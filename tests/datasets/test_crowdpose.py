"""CrowdPose: 14 keypoints, a crowd index a picture, no areas."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from reading import arrays, read_format, tabulate

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError

CROWDPOSE14 = load_skeleton("crowdpose14")
NAMES = [*CROWDPOSE14.keypoints[:12], "head", "neck"]
REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[2].parent / "shared" / "real"))


def write(tmp_path: Path, *, keypoints: int = 14, names: list[str] = NAMES) -> Path:
    values = [value for k in range(keypoints) for value in (10 + k, 20 + k, 2)]
    person = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 20, 40], "iscrowd": 0, "num_keypoints": 14, "keypoints": values}
    images = [
        {"id": 3, "file_name": "3.jpg", "width": 60, "height": 50, "crowdIndex": 0.33},
        {"id": 4, "file_name": "4.jpg", "width": 60, "height": 50},
    ]
    content = {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path / "a.json"


def test_keypoints_area_and_crowd_index(tmp_path: Path) -> None:
    annotations = read_format("crowdpose", write(tmp_path), tmp_path, split="val", skeleton=load_skeleton("union21"))
    union = load_skeleton("union21")
    found = arrays(annotations)
    assert found.keypoints[0, union.index("left_shoulder")].tolist() == [10, 20]
    assert found.keypoints[0, union.index("head_top")].tolist() == [22, 32]
    assert found.keypoints[0, union.index("upper_neck")].tolist() == [23, 33]
    assert tabulate(annotations)["area"].tolist() == [pytest.approx(0.53 * 800)]
    assert annotations.images["crowd_index"].tolist() == [pytest.approx(0.33), pytest.approx(float("nan"), nan_ok=True)]


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation 1: expected 14 keypoints \(skeleton 'crowdpose14'\), got 17"):
        read_format("crowdpose", write(tmp_path, keypoints=17), tmp_path, split="val", skeleton=CROWDPOSE14)
    with pytest.raises(DataError, match="keypoint 0 is 'neck', expected 'left_shoulder'"):
        read_format("crowdpose", write(tmp_path, names=NAMES[::-1]), tmp_path, split="val", skeleton=CROWDPOSE14)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real samples (POSELINE_REAL)")
def test_real_sample() -> None:
    folder = REAL / "formats/crowdpose"
    annotations = read_format("crowdpose", folder / "test_crowdpose.json", folder, split="val", skeleton=CROWDPOSE14)
    assert (len(tabulate(annotations)), len(annotations.images)) == (5, 2)
    assert (annotations.images["crowd_index"] > 0).all()
