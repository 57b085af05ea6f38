"""Halpe: the 26 body keypoints of files with 26 or 136."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from reading import arrays, read_format, tabulate

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError

HALPE26 = load_skeleton("halpe26")
REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[2].parent / "shared" / "real"))


def write(tmp_path: Path, keypoints: list[float]) -> Path:
    person = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 20, 40], "area": 300, "iscrowd": 0, "keypoints": keypoints}
    content = {"images": [{"id": 3, "file_name": "3.jpg", "width": 600, "height": 500}], "annotations": [person], "categories": []}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path / "a.json"


@pytest.mark.parametrize("count", [26, 136])
def test_body_keypoints_of_both_forms(tmp_path: Path, count: int) -> None:
    path = write(tmp_path, [value for k in range(count) for value in (1 + k, 2 + k, 2)])
    annotations = read_format("halpe", path, tmp_path, split="val", skeleton=HALPE26)
    found = arrays(annotations)
    assert found.keypoints[0, 25].tolist() == [26, 27]
    assert tabulate(annotations)["num_keypoints"].tolist() == [26]
    assert annotations.raw.keypoints.shape == (1, 26, 2)


def test_confidences_become_flags(tmp_path: Path) -> None:
    flags = [0, 1, 2, 0.2, 0.35, 0.9] + [0] * 20
    path = write(tmp_path, [value for k, flag in enumerate(flags) for value in (1 + k, 2, flag)])
    found = arrays(read_format("halpe", path, tmp_path, split="val", skeleton=HALPE26))
    assert found.visibility[0, :6].tolist() == [0, 1, 2, 0, 2, 2]


def test_wrong_count(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotation 1: expected 26 keypoints \(skeleton 'halpe26'\), got 17"):
        read_format("halpe", write(tmp_path, [1, 2, 2] * 17), tmp_path, split="val", skeleton=HALPE26)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real samples (POSELINE_REAL)")
def test_real_sample_holds_the_coco_keypoints() -> None:
    path = REAL / "formats/halpe/test_halpe.json"
    annotations = read_format("halpe", path, REAL / "formats/coco", split="val", skeleton=load_skeleton("coco17"))
    assert len(tabulate(annotations)) == 14
    assert tabulate(annotations)["num_keypoints"].iloc[0] == 17
