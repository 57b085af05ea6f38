"""The protocol stamp."""

from __future__ import annotations

import json

import pytest

from poseline.errors import ArtifactError
from poseline.evaluation.protocol import Protocol, differences

STAMP = Protocol(
    "coco", boxes="detections", box_ap=0.564, flip=True, input_wh=(192, 256), codec="heatmap", nms="parametric-fixed",
    rescoring="mean_visible", data_hash="abc", num_images=5000, num_people=6352,
)  # fmt: skip


def test_round_trip_through_json():
    assert Protocol.from_dict(json.loads(json.dumps(STAMP.to_dict()))) == STAMP
    assert differences(STAMP, STAMP) == []


def test_differences_name_the_fields():
    other = Protocol.from_dict(STAMP.to_dict() | {"boxes": "ground_truth", "box_ap": None})
    assert differences(STAMP, other) == ["boxes: detections against ground_truth", "box_ap: 0.564 against None"]


def test_description():
    assert STAMP.describe() == "coco, detections (box AP 56.4), flip, 192x256, heatmap, NMS parametric-fixed, mean_visible"


@pytest.mark.parametrize(("values", "message"), [({}, "no 'benchmark'"), ({"benchmark": "coco", "x": 1}, r"unknown keys \['x'\]")])
def test_faults(values, message):
    with pytest.raises(ArtifactError, match=message):
        Protocol.from_dict(values)
