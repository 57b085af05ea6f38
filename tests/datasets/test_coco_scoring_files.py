"""Reading official COCO-form files: what is read, and the one-line errors."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from poseline.datasets.coco_scoring import WHOLEBODY_PARTS, read_ground_truth, read_predictions
from poseline.errors import DataError

POINTS = [float(value) for k in range(17) for value in (k, 2 * k, 2)]
TRUTH = {
    "images": [{"id": 5}, {"id": 3}],
    "annotations": [
        {"id": 11, "image_id": 5, "category_id": 1, "keypoints": POINTS, "num_keypoints": 17, "area": 900.0, "bbox": [0, 0, 30, 40],
         "iscrowd": 0},
        {"id": 10, "image_id": 3, "category_id": 1, "keypoints": [0] * 51, "num_keypoints": 0, "area": 100.0, "bbox": [0, 0, 10, 10],
         "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": [f"k{i}" for i in range(17)]}],
}  # fmt: skip
RESULT = {"image_id": 5, "category_id": 1, "keypoints": POINTS, "score": 0.5}


@pytest.fixture
def write(tmp_path):
    def write_json(content: object, name: str = "file.json") -> Path:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path / name

    return write_json


def test_truth_is_ordered_by_picture(write):
    ground_truth = read_ground_truth(write(TRUTH))
    assert ground_truth.image_ids.tolist() == [3, 5]
    assert ground_truth.annotation_ids.tolist() == [10, 11]
    assert ground_truth.is_crowd.tolist() == [True, False]
    assert ground_truth.keypoints[1, 4].tolist() == [4.0, 8.0]
    assert ground_truth.ignored.tolist() == [True, False]


def test_results_and_the_area_of_their_box(write):
    ground_truth = read_ground_truth(write(TRUTH))
    plain = read_predictions(write([RESULT], "r.json"), ground_truth)
    assert plain.area.tolist() == [16.0 * 32.0]
    boxed = read_predictions(write([RESULT | {"bbox": [1, 2, 3, 4]}], "r.json"), ground_truth)
    assert boxed.area.tolist() == [12.0]
    assert plain.keypoint_scores[0].tolist() == [2.0] * 17


def test_whole_body_parts_are_joined(write):
    content = copy.deepcopy(TRUTH)
    for entry in content["annotations"]:
        entry |= {"foot_kpts": [1] * 18, "face_kpts": [1] * 204, "lefthand_kpts": [1] * 63, "righthand_kpts": [1] * 63}
    ground_truth = read_ground_truth(write(content), parts=WHOLEBODY_PARTS)
    assert ground_truth.keypoints.shape == (2, 133, 2)
    flat = RESULT | {"keypoints": [1.0] * 399}
    assert read_predictions(write([flat], "r.json"), ground_truth, parts=WHOLEBODY_PARTS).keypoints.shape == (1, 133, 2)


def test_crowd_index_and_area_of_the_box(write):
    content = copy.deepcopy(TRUTH)
    for image, value in zip(content["images"], (0.5, 0.1), strict=True):
        image["crowdIndex"] = value
    for entry in content["annotations"]:
        del entry["area"]
    ground_truth = read_ground_truth(write(content), area_from_box=True)
    assert ground_truth.crowd_index.tolist() == [0.1, 0.5]
    assert ground_truth.area == pytest.approx([53.0, 636.0])


def spoil_truth(key: str, value: object) -> dict:
    content = copy.deepcopy(TRUTH)
    content["annotations"][0][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ('{"images": [', "not valid JSON"),
        ([], "expected an object"),
        ({"images": []}, "'annotations'"),
        ({"images": [], "annotations": []}, "at least one image"),
        (spoil_truth("id", 10), "annotation id 10 is given 2 times"),
        (spoil_truth("image_id", 99), "annotation 11: image_id 99 is not listed"),
        (spoil_truth("image_id", "5"), "expected an integer 'image_id', got '5'"),
        (spoil_truth("keypoints", POINTS[:48]), "annotation 10: 'keypoints' has 51 numbers, expected 48"),
        (spoil_truth("keypoints", None), "annotation 11: expected a list 'keypoints', got None"),
        (spoil_truth("keypoints", [float("nan"), *POINTS[1:]]), "annotation 11: 'keypoints' holds NaN"),
        (spoil_truth("area", float("inf")), "annotation 11: expected a finite number 'area', got inf"),
        (spoil_truth("area", None), "annotation 11: expected a finite number 'area', got None"),
        (spoil_truth("bbox", [1, 2, 3]), "annotation 11: 'bbox' has 3 numbers, expected 4"),
        ({**TRUTH, "images": [{"id": 5}, {"id": 5}, {"id": 3}]}, "image id 5 is given 2 times"),
    ],
)
def test_faults_of_truth(write, content, message):
    with pytest.raises(DataError, match=message) as error:
        read_ground_truth(write(content))
    assert "\n" not in str(error.value)
    assert "file.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ([], "empty list"),
        ({"images": []}, "expected a list"),
        ('[{"image_id": 5, "keypo', "not valid JSON"),
        ([RESULT, RESULT | {"image_id": 99}], "entry 1: image_id 99 is not in the ground truth"),
        ([RESULT | {"image_id": "5.jpg"}], "expected an integer 'image_id', got '5.jpg'"),
        ([RESULT | {"keypoints": POINTS[:42]}], "14 keypoints, the ground truth has 17"),
        ([RESULT, RESULT | {"keypoints": POINTS[:42]}], "entry 1: 'keypoints' has 42 numbers, expected 51"),
        ([RESULT | {"score": float("nan")}], "entry 0: expected a finite number 'score', got nan"),
        ([RESULT | {"score": float("-inf")}], "got -inf"),
        ([RESULT | {"score": "high"}], "got 'high'"),
        ([{k: v for k, v in RESULT.items() if k != "score"}], "'score', got nothing"),
        ([RESULT | {"keypoints": [*POINTS[:-1], "x"]}], "'keypoints' holds NaN, infinity or no number"),
        ([RESULT | {"bbox": [0, 0, 1, 1]}, RESULT], "entry 1: 'bbox' has null"),
    ],
)
def test_faults_of_results(write, content, message):
    ground_truth = read_ground_truth(write(TRUTH, "truth.json"))
    with pytest.raises(DataError, match=message) as error:
        read_predictions(write(content), ground_truth)
    assert "\n" not in str(error.value)
    assert "file.json" in str(error.value)


def test_other_categories_are_left_out(write):
    content = copy.deepcopy(TRUTH)
    content["categories"].append({"id": 2, "name": "dog"})
    content["annotations"].append({"id": 12, "image_id": 5, "category_id": 2, "bbox": [0, 0, 1, 1], "area": 1})
    assert len(read_ground_truth(write(content))) == 2


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_ground_truth(tmp_path / "none.json")


def test_numbers_survive_to_the_last_bit(write):
    points = np.random.default_rng(0).uniform(0, 1000, 51)
    ground_truth = read_ground_truth(write(TRUTH))
    predictions = read_predictions(write([RESULT | {"keypoints": points.tolist()}], "r.json"), ground_truth)
    assert predictions.keypoints[0].reshape(-1).tolist() == points.reshape(17, 3)[:, :2].reshape(-1).tolist()
