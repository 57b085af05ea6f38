"""Reading a split as the parameters name it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from poseline.config import DatasetConfig, SplitConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.read import read_split
from poseline.errors import DataError

UNION = load_skeleton("union21")


def config(folder: Path, **changes: object) -> DatasetConfig:
    splits = {name: SplitConfig(annotations=f"{name}.json", images=folder) for name in ("train", "val")}
    return DatasetConfig(annotations=folder, **splits, **changes)  # type: ignore[arg-type]


def test_mpii_head_boxes_belong_to_val(tmp_path: Path) -> None:
    person = {"image": "1.jpg", "joints": [[5, 5]] * 16, "joints_vis": [1] * 16, "center": [5, 5], "scale": 0.1}
    (tmp_path / "train.json").write_text(json.dumps([person] * 2))
    (tmp_path / "val.json").write_text(json.dumps([person]))
    scipy.io.savemat(tmp_path / "heads.mat", {"headboxes_src": np.ones((2, 2, 1)), "jnt_missing": np.zeros((16, 1))})
    settings = config(tmp_path, head_boxes="heads.mat")
    assert read_split("mpii", settings, "val", UNION).has_head_boxes
    train = read_split("mpii", settings, "train", UNION)
    assert (train.has_head_boxes, len(train.records), train.split) == (False, 2, "train")


def test_annotations_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps({"images": [], "annotations": []}))
    settings = config(tmp_path).model_copy(update={"annotations": tmp_path / "train.json"})
    assert len(read_split("coco", settings, "train", UNION).records) == 0


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val\.json: no such file"):
        read_split("coco", config(tmp_path), "val", UNION)
    with pytest.raises(DataError, match=r"val\.json: no such file or folder"):
        read_split("posetrack", config(tmp_path), "val", UNION)
