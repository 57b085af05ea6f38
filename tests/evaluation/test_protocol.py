"""The protocol stamp."""

from __future__ import annotations

import json

import pytest

from poseline.datasets.score import Score, Stamp, differences, parse_score, unstated
from poseline.errors import ArtifactError

STAMP = Stamp(
    benchmark="coco", boxes="detections", box_ap=0.564, flip=True, input_wh=(192, 256), codec="heatmap", nms="parametric-fixed",
    rescoring="mean_visible", data_hash="abc", num_images=5000, num_people=6352,
)  # fmt: skip


def test_round_trip_through_json():
    score = Score(protocol=STAMP, metrics={"ap": 0.5, "ap_large": None}, intervals={"ap": (0.4, 0.6)}, sections={"own": [1, "a"]})
    assert parse_score(json.dumps(score.to_json()), source="x") == score
    assert differences(STAMP, STAMP) == []


def test_differences_name_the_fields():
    other = STAMP.model_copy(update={"boxes": "ground_truth", "box_ap": 0.7})
    assert differences(STAMP, other) == ["boxes: detections against ground_truth", "box_ap: 0.564 against 0.7"]


def test_what_one_stamp_does_not_state_is_a_note_but_for_what_was_scored():
    plain = Stamp(benchmark="coco", data_hash="abc", num_images=5000, num_people=6352)
    assert differences(STAMP, plain) == []
    assert "flip: True against not stated" in unstated(STAMP, plain)
    for name in ("data_hash", "num_images", "num_people"):
        unknown = plain.model_copy(update={name: None})
        assert differences(STAMP, unknown) == [f"{name}: {getattr(STAMP, name)} against None"]


def test_description():
    assert STAMP.describe() == "coco, detections (box AP 56.4), flip, 192x256, heatmap, NMS parametric-fixed, mean_visible"


@pytest.mark.parametrize(
    ("values", "message"), [({}, "protocol.benchmark: Field required"), ({"benchmark": "coco", "x": 1}, "protocol.x: Extra inputs")]
)
def test_faults(values, message):
    with pytest.raises(ArtifactError, match=message):
        parse_score(json.dumps({"protocol": values}), source="x")
