"""MPII: the JSON lists, their head boxes, and the release .mat, all counted from 1 in the files and from 0 in the records."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from reading import arrays, read_format, tabulate

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError

MPII16 = load_skeleton("mpii16")
REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[2].parent / "shared" / "real"))


def entry(**changes: object) -> dict[str, object]:
    joints = [[11.0 + 2 * j, 21.0 + 3 * j] for j in range(16)]
    return {"image": "000000042.jpg", "joints": joints, "joints_vis": [1] * 16, "center": [51.0, 41.0], "scale": 0.25, **changes}


def write_json(tmp_path: Path, entries: object) -> Path:
    (tmp_path / "valid.json").write_text(json.dumps(entries))
    cv2.imwrite(str(tmp_path / "000000042.jpg"), np.zeros((90, 120, 3), np.uint8))
    return tmp_path / "valid.json"


def write_heads(tmp_path: Path, count: int = 1, **changes: object) -> Path:
    heads = np.tile(np.array([[11.0, 21.0], [31.0, 51.0]])[:, :, None], (1, 1, count))
    missing = np.zeros((16, count), np.uint8)
    missing[3] = 1
    scipy.io.savemat(tmp_path / "gt_valid.mat", {"headboxes_src": heads, "jnt_missing": missing, **changes})
    return tmp_path / "gt_valid.mat"


def test_json_counts_from_one_and_the_box_is_the_fields(tmp_path: Path) -> None:
    visible = [1] * 15 + [0]
    annotations = read_format("mpii", write_json(tmp_path, [entry(joints_vis=visible)]), tmp_path, split="val", skeleton=MPII16)
    row = tabulate(annotations).iloc[0]
    found = arrays(annotations)
    assert (row["image_id"], row["annotation_id"], row["image_width"], row["image_height"]) == (42, 1, 120, 90)
    assert found.keypoints[0, 0].tolist() == [10, 20]
    assert found.visibility[0].tolist() == [2] * 15 + [0]
    # centre (50, 40) from 0, moved down by 15 x 0.25; side 50
    assert found.bbox_xyxy[0].tolist() == [25, 18.75, 75, 68.75]
    assert row["area"] == pytest.approx(0.53 * 28 * 42)
    assert not annotations.has_head_boxes


def test_head_boxes_and_missing_joints(tmp_path: Path) -> None:
    path = write_json(tmp_path, [entry(), entry()])
    annotations = read_format("mpii", path, tmp_path, split="val", skeleton=MPII16, head_boxes=write_heads(tmp_path, 2))
    found = arrays(annotations)
    assert annotations.has_head_boxes
    assert found.head_xyxy.tolist() == [[10, 20, 30, 50]] * 2
    assert found.visibility[:, 3].tolist() == [0, 0]
    assert tabulate(annotations)["annotation_id"].tolist() == [1, 2]


def test_one_head_box_is_not_squeezed_away(tmp_path: Path) -> None:
    heads = write_heads(tmp_path)
    annotations = read_format("mpii", write_json(tmp_path, [entry()]), tmp_path, split="val", skeleton=MPII16, head_boxes=heads)
    assert arrays(annotations).head_xyxy.tolist() == [[10, 20, 30, 50]]


def test_test_list_without_joints(tmp_path: Path) -> None:
    people = [{key: value for key, value in entry().items() if not key.startswith("joints")}]
    annotations = read_format("mpii", write_json(tmp_path, people), tmp_path, split="val", skeleton=MPII16)
    assert tabulate(annotations)["num_keypoints"].tolist() == [0]


def test_missing_picture_leaves_the_size_open(tmp_path: Path) -> None:
    path = write_json(tmp_path, [entry(image="gone.jpg", center=[-1.0, 5.0])])
    annotations = read_format("mpii", path, tmp_path, split="val", skeleton=MPII16)
    row = tabulate(annotations).iloc[0]
    assert (row["image_width"], row["image_height"], row["bbox_x1"]) == (0, 0, -27)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(joints=[[1, 2]] * 15)], r"entry 0: expected 16 joints \(skeleton 'mpii16'\), got 15"),
        ([entry(), entry(joints=[[1, 2, 3]] * 16)], r"entry 1: joint 0: expected 2 numbers, got 3"),
        ([entry(joints_vis=[1])], r"'joints_vis': expected 16 numbers, got 1"),
        ([entry(center=None)], r"'center': expected a list, got null"),
        ({"images": []}, r"valid\.json: expected a list, got an object"),
    ],
)
def test_structural_faults(tmp_path: Path, entries: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_format("mpii", write_json(tmp_path, entries), tmp_path, split="val", skeleton=MPII16)


def test_faulty_head_box_files(tmp_path: Path) -> None:
    path = write_json(tmp_path, [entry()])

    def read(heads: Path) -> None:
        read_format("mpii", path, tmp_path, split="val", skeleton=MPII16, head_boxes=heads)

    with pytest.raises(DataError, match="2 head boxes and 2 columns of missing joints for 1 people"):
        read(write_heads(tmp_path, 2))
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(DataError, match=r"expected 'headboxes_src', got \['x'\]"):
        read(tmp_path / "other.mat")
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.mat")
    whole = write_heads(tmp_path).read_bytes()
    for cut in (0, 60, 130, len(whole) - 7):
        (tmp_path / "cut.mat").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"cut\.mat: cannot be read as a MATLAB file"):
            read(tmp_path / "cut.mat")


def write_release(path: Path) -> Path:
    point = {"x": 11.0, "y": 21.0, "id": 0, "is_visible": "0"}
    points = np.array([(11.0, 21.0, 0, "0"), (31.0, 61.0, 9, np.empty(0))], dtype=[(n, object) for n in ("x", "y", "id", "is_visible")])
    head = {"x1": 11.0, "y1": 21.0, "x2": 31.0, "y2": 51.0}
    person = {**head, "scale": 0.25, "objpos": {"x": 51.0, "y": 41.0}}
    rects = np.empty(3, dtype=object)
    rects[:] = [{**person, "annopoints": {"point": points}}, {**person, "annopoints": {"point": point}}, head]
    annolist = np.zeros(3, dtype=[("image", object), ("annorect", object)])
    annolist["image"] = [{"name": f"00000004{i}.jpg"} for i in range(3)]
    annolist["annorect"][0], annolist["annorect"][1], annolist["annorect"][2] = rects, person, np.empty((0, 0))
    scipy.io.savemat(path, {"RELEASE": {"annolist": annolist, "img_train": np.array([1, 0, 1], np.uint8)}})
    return path


def test_release_mat(tmp_path: Path) -> None:
    path = write_release(tmp_path / "release.mat")
    train = read_format("mpii", path, tmp_path, split="train", skeleton=MPII16)
    found = arrays(train)
    assert tabulate(train)["image_id"].tolist() == [40, 40]
    assert found.visibility[:, [0, 9]].tolist() == [[1, 2], [1, 0]]
    assert found.keypoints[0, 9].tolist() == [30, 60]
    assert found.bbox_xyxy[0].tolist() == [25, 18.75, 75, 68.75]
    assert found.head_xyxy[0].tolist() == [10, 20, 30, 50]
    val = read_format("mpii", path, tmp_path, split="val", skeleton=MPII16)
    assert tabulate(val)[["image_id", "num_keypoints"]].to_numpy().tolist() == [[41, 0]]
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(DataError, match="expected a struct RELEASE"):
        read_format("mpii", tmp_path / "other.mat", tmp_path, split="val", skeleton=MPII16)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real samples (POSELINE_REAL)")
def test_real_sample_lies_on_its_pictures() -> None:
    annotations = read_format("mpii", REAL / "formats/mpii/test_mpii.json", REAL / "formats/mpii", split="val", skeleton=MPII16)
    found = arrays(annotations)
    sizes = tabulate(annotations)[["image_width", "image_height"]].to_numpy()
    assert len(tabulate(annotations)) == len(annotations.images) == 5
    assert (found.keypoints >= 0).all()
    assert (found.keypoints <= sizes[:, None]).all()
    assert found.keypoints[0, 0].tolist() == [803, 710]
    inside = (found.keypoints >= found.bbox_xyxy[:, None, :2]) & (found.keypoints <= found.bbox_xyxy[:, None, 2:])
    assert inside.all(axis=2)[found.visibility > 0].mean() > 0.95
