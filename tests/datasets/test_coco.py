"""COCO annotation and result files: what is read, and how each structural fault is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reading import arrays, read_format, tabulate

from poseline.artifacts import BBOX_COLUMNS
from poseline.core.skeletons import load_skeleton
from poseline.datasets.annotations import PERSON_TYPES, Annotations
from poseline.datasets.coco_format import read_detections
from poseline.errors import DataError

COCO17 = load_skeleton("coco17")
UNION = load_skeleton("union21")


def person(annotation_id: int = 1, **changes: object) -> dict[str, object]:
    keypoints = [[10 + k, 20 + k, 1 + k % 2] for k in range(17)]
    entry: dict[str, object] = {
        "id": annotation_id, "image_id": 7, "category_id": 1, "bbox": [5, 6, 30, 40], "area": 700.5, "iscrowd": 0, "num_keypoints": 17,
        "keypoints": [value for point in keypoints for value in point],
    }  # fmt: skip
    return {**entry, **changes}


def content(people: list[dict[str, object]], **changes: object) -> dict[str, object]:
    images = [{"id": 7, "file_name": "000000000007.jpg", "width": 100, "height": 80}]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}]
    return {"images": images, "annotations": people, "categories": categories, **changes}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def read(tmp_path: Path, value: object, *, skeleton: str = "coco17") -> Annotations:
    return read_format("coco", write(tmp_path / "a.json", value), Path("pictures"), split="train", skeleton=load_skeleton(skeleton))


def test_record_columns_and_values(tmp_path: Path) -> None:
    annotations = read(tmp_path, content([person()]), skeleton="union21")
    row = tabulate(annotations).iloc[0]
    assert list(tabulate(annotations).columns) == [*PERSON_TYPES, *BBOX_COLUMNS, "area", "track_id"]
    assert row["image_path"] == "pictures/000000000007.jpg"
    assert (row["dataset"], row["split"], row["image_id"], row["annotation_id"]) == ("coco", "train", 7, 1)
    assert [row[c] for c in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")] == [5, 6, 35, 46]
    assert (row["image_width"], row["image_height"], row["num_keypoints"]) == (100, 80, 17)
    assert row["area"] == pytest.approx(700.5)
    found = arrays(annotations)
    nose, pelvis = UNION.index("nose"), UNION.index("pelvis")
    assert found.keypoints[0, nose].tolist() == [10, 20]
    assert found.visibility[0, [nose, pelvis]].tolist() == [1, 0]
    assert (found.head_xyxy == -1).all()


def test_boxes_are_clipped_in_records_and_kept_raw(tmp_path: Path) -> None:
    annotations = read(tmp_path, content([person(bbox=[-5, 70, 200, 20])]))
    assert tabulate(annotations)[["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]].iloc[0].tolist() == [0, 70, 100, 80]
    assert annotations.raw.bbox_xyxy[0].tolist() == [-5, 70, 195, 90]


def test_people_without_keypoints_and_crowds_stay(tmp_path: Path) -> None:
    people = [person(1), person(2, keypoints=[0] * 51, num_keypoints=0), person(3, iscrowd=1), person(4)]
    del people[3]["keypoints"]
    records = tabulate(read(tmp_path, content(people)))
    assert records["annotation_id"].tolist() == [1, 2, 3, 4]
    assert records["num_keypoints"].tolist() == [17, 0, 17, 0]
    assert records["is_crowd"].tolist() == [False, False, True, False]


def test_content_faults_are_kept_for_the_checks_and_out_of_the_records(tmp_path: Path) -> None:
    keypoints = list(person()["keypoints"])  # type: ignore[call-overload]
    keypoints[0], keypoints[5] = float("nan"), 9
    people = [person(1, keypoints=keypoints), person(2, bbox=[1, 2, None, 4], area=None), person(3, image_id=8), person(3)]
    annotations = read(tmp_path, content(people))
    assert annotations.raw.annotation_id.tolist() == [1, 2, 3, 3]
    assert tabulate(annotations)["annotation_id"].tolist() == [1, 2, 3]
    found = arrays(annotations)
    assert np.isfinite(found.keypoints).all()
    assert np.isfinite(found.bbox_xyxy).all()
    assert np.isfinite(tabulate(annotations)["area"]).all()
    assert found.visibility[0, :2].tolist() == [0, 0]
    assert np.isnan(annotations.raw.keypoints[0, 0, 0])
    assert annotations.raw.visibility[0, 1] == 9


def test_other_categories_are_no_people(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    records = tabulate(read(tmp_path, content([person(1), person(2, category_id=18)], categories=categories)))
    assert records["annotation_id"].tolist() == [1]


def test_empty_data_set_is_read(tmp_path: Path) -> None:
    annotations = read(tmp_path, content([], images=[]))
    assert (len(tabulate(annotations)), len(annotations.images), len(annotations.raw)) == (0, 0, 0)
    assert annotations.people.poses.keypoints.shape == (0, 17, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (content([person(12, keypoints=[1] * 48)]), r"a\.json: annotation 12: expected 17 keypoints \(skeleton 'coco17'\), got 16"),
        (content([person(bbox=[1, 2, 3])]), r"annotation 1: 'bbox': expected 4 numbers, got 3"),
        (content([person(image_id="x")]), r"annotation 1: expected an integer 'image_id', got 'x'"),
        (content([person(id=1.5)]), r"annotations\[0\]: expected an integer 'id', got 1.5"),
        (content([person()], images=[{"id": 7, "width": 4, "height": 4}]), r"images\[0\]: expected a string 'file_name', got nothing"),
        (content([person()], images=[{"id": 7, "file_name": "a.jpg", "height": 4}]), r"images\[0\]: expected an integer 'width', got not"),
        ({"images": []}, r"expected the key 'annotations', got \['images'\]"),
        ([1, 2], r"a\.json: expected an object, got a list"),
        (content([person()], annotations={}), r"'annotations': expected a list, got an object"),
        (content([], categories=[{"id": 1, "name": "person", "keypoints": ["nose"]}]), r"1 keypoint names, skeleton 'coco17' has 17"),
        (
            content([], categories=[{"id": 1, "name": "person", "keypoints": list(reversed(COCO17.keypoints))}]),
            r"keypoint 0 is 'right_ankle', expected 'nose'",
        ),
    ],
)
def test_structural_faults_are_one_line(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, value)
    assert "\n" not in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    whole = json.dumps(content([person()]))
    faults = {
        whole[: len(whole) // 2].encode(): r"a\.json: not valid JSON: .* at line 1 column \d+ \(the file seems cut short\)",
        whole.replace(":", ";", 1).encode(): r"a\.json: not valid JSON: Expecting ':' delimiter at line 1 column \d+\. Fetch",
        b"": r"a\.json: expected JSON, got an empty file",
        b"\xff\xfe\x00": r"a\.json: cannot be read as JSON \(not UTF-8 text\)",
    }
    with pytest.raises(DataError, match=r"a\.json: no such file"):
        read_format("coco", path, tmp_path, split="train", skeleton=COCO17)
    for data, message in faults.items():
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            read_format("coco", path, tmp_path, split="train", skeleton=COCO17)
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_format("coco", tmp_path, tmp_path, split="train", skeleton=COCO17)


def detection(**changes: object) -> dict[str, object]:
    return {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, **changes}


def test_detections_keep_file_order_and_people_only(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", [detection(score=0.1), detection(category_id=3), detection(bbox=[0, 0, 2.5, 1])])
    table = read_detections(path, pd.DataFrame({"image_id": [7, 9]}))
    assert list(table.columns) == ["image_id", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "score"]
    assert table.to_numpy().tolist() == [[7, 1, 2, 4, 6, pytest.approx(0.1)], [7, 0, 0, 2.5, 1, 0.5]]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "expected detections, got an empty list"),
        ({"annotations": []}, "expected detections, got an empty list"),
        ({"images": []}, "expected a list, got an object"),
        ([detection(category_id=2)], "none of the 1 detections is of category 1 'person'; they are of 2"),
        ([detection(), detection(score=float("nan"))], r"entry 1: expected finite box and score, got \[1, 2, 3, 4\] and nan"),
        ([detection(bbox=[1, 2, None, 4])], "entry 0: expected finite box and score"),
        ([detection(bbox=[1, 2])], "entry 0: 'bbox': expected 4 numbers, got 2"),
        ([detection(image_id=8)], r"image 8 is not among the 1 images of the annotations \(1 such images\)"),
    ],
)
def test_faulty_detections(tmp_path: Path, entries: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_detections(write(tmp_path / "d.json", entries), pd.DataFrame({"image_id": [7]}))
