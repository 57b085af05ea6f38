"""People on whom an exported network is checked: annotated or drawn, in the skeleton of the annotations."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, ModelConfig
from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError
from poseline.infer.estimator import PoseEstimator
from poseline.infer.export_data import LabelledPeople, draw_people
from poseline.models.saved import SavedModel

BOX = [20.0, 10.0, 40.0, 80.0]


def middle_estimator(skeleton: str) -> PoseEstimator:
    """Finds every keypoint in the middle of the crop."""
    count = load_skeleton(skeleton).num_keypoints
    codec, saved = CodecConfig(), SavedModel(ModelConfig(input_wh=(32, 64)), CodecConfig(), skeleton)

    def forward(images: torch.Tensor) -> torch.Tensor:
        maps = torch.zeros(len(images), count, 16, 8)
        maps[:, :, 7:9, 3:5] = 1
        return maps

    decoder = build_codec(codec, num_keypoints=count, input_wh=(32, 64))
    return PoseEstimator(forward, decoder, saved, device=torch.device("cpu"), batch_size=4, flip=False)


@pytest.fixture
def people(tmp_path: Path) -> LabelledPeople:
    """One person whose keypoints all lie in the middle of the box."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((100, 90, 3), np.uint8))
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 3200, "iscrowd": 0, "num_keypoints": 17,
              "keypoints": [40, 50, 2] * 17}  # fmt: skip
    content = {"images": [{"id": 1, "file_name": "1.png"}], "categories": [{"id": 1, "name": "person"}], "annotations": [person]}
    (tmp_path / "people.json").write_text(json.dumps(content))
    return LabelledPeople.read(tmp_path / "people.json", tmp_path)


@pytest.mark.parametrize("skeleton", ["coco17", "union21"])
def test_ap_is_in_the_skeleton_of_the_annotations(people: LabelledPeople, skeleton: str) -> None:
    estimator = middle_estimator(skeleton)
    assert people.measure_ap(estimator) == pytest.approx(1)
    assert people.cut(estimator.saved, limit=5).shape == (1, 64, 32, 3)


def test_annotations_that_say_nothing_of_the_model(people: LabelledPeople) -> None:
    with pytest.raises(DataError, match="has 17 keypoints a person, the model 4"):
        people.measure_ap(middle_estimator("own4.yaml"))


@pytest.fixture(autouse=True)
def own_skeleton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own4.yaml").write_text("name: own4\nkeypoints: [tip, fin, tail, gill]\nflip_pairs: []\nedges: []\n")


def test_drawn_people_are_always_the_same() -> None:
    saved = middle_estimator("coco17").saved
    crops = draw_people(saved, count=3)
    assert crops.shape == (3, 64, 32, 3)
    np.testing.assert_array_equal(crops, draw_people(saved, count=3))
    assert crops.std() > 5
