"""Reading a split as the parameters name it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from poseline.config import DataConfig
from poseline.datasets.formats import load_format, read_set, read_split
from poseline.errors import ConfigError, DataError


def data(folder: Path, format_name: str, **changes: object) -> DataConfig:
    splits = {name: {"annotations": f"{name}.json", "images": str(folder)} for name in ("train", "val")}
    return DataConfig.model_validate({"sets": {"mine": {"format": format_name, "annotations": str(folder), **splits, **changes}}})


def test_mpii_head_boxes_belong_to_val(tmp_path: Path) -> None:
    person = {"image": "1.jpg", "joints": [[5, 5]] * 16, "joints_vis": [1] * 16, "center": [5, 5], "scale": 0.1}
    (tmp_path / "train.json").write_text(json.dumps([person] * 2))
    (tmp_path / "val.json").write_text(json.dumps([person]))
    scipy.io.savemat(tmp_path / "heads.mat", {"headboxes_src": np.ones((2, 2, 1)), "jnt_missing": np.zeros((16, 1))})
    train, val = read_set(data(tmp_path, "mpii", head_boxes="heads.mat"), "mine")
    assert val.has_head_boxes
    assert (train.has_head_boxes, len(train.people), train.split, train.dataset) == (False, 2, "train", "mine")


def test_annotations_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"images": [], "annotations": []}))
    assert len(read_split(data(tmp_path, "coco", annotations=str(tmp_path / "train.json")), "mine", "train").people) == 0


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val\.json: no such file"):
        read_split(data(tmp_path, "coco"), "mine", "val")
    with pytest.raises(DataError, match=r"val\.json: no such file or folder"):
        read_split(data(tmp_path, "posetrack"), "mine", "val")


def test_a_set_without_a_split_is_read_without_it_and_says_so_where_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps({"images": [], "annotations": []}))
    config = data(tmp_path, "coco", train=None)
    assert [part.split for part in read_set(config, "mine")] == ["val"]
    with pytest.raises(ConfigError, match=r"data\.sets\.mine\.train: null, but its files are needed"):
        read_split(config, "mine", "train")
    with pytest.raises(ConfigError, match=r"no set 'coco'\. Choose one of mine"):
        read_split(config, "coco", "val")


def test_a_set_has_a_skeleton_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "three.yaml").write_text("name: three\nkeypoints: [head, left_hand, right_hand]\nflip_pairs: [[left_hand, right_hand]]\n")
    person = {"id": 1, "image_id": 1, "bbox": [0, 0, 9, 9], "area": 40, "keypoints": [1, 2, 2, 3, 4, 1, 0, 0, 0]}
    images = [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 20}]
    (tmp_path / "val.json").write_text(json.dumps({"images": images, "annotations": [person]}))
    skeleton = str(tmp_path / "three.yaml")
    config = data(tmp_path, "coco", skeleton=skeleton).model_copy(update={"skeleton": skeleton})
    assert read_split(config, "mine", "val").people.poses.visibility.tolist() == [[2, 1, 0]]
    with pytest.raises(ConfigError, match=r"data\.sets\.mine\.skeleton: nowhere\.yaml: no such skeleton file"):
        read_split(data(tmp_path, "coco", skeleton="nowhere.yaml"), "mine", "val")


@pytest.mark.parametrize("name", ["coco", "coco-wholebody", "crowdpose", "halpe", "mpii", "posetrack"])
def test_every_format_names_its_skeleton(name: str) -> None:
    assert load_format(name).SKELETON
