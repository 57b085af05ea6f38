"""A set of your own in COCO's form: its splits, image folders and keypoints are found, or one line says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from projects_data import FIVE, write_coco

from poseline.config import parse_params
from poseline.core.skeletons import load_skeleton
from poseline.errors import ConfigError, DataError
from poseline.projects.data_sets import plan_data, write_own
from poseline.projects.own_data import divide, flip_pairs, read_own_data
from poseline.projects.pipeline import read_template

NAMES = [f"{number:03d}.jpg" for number in range(10)]


def test_one_file_is_divided_always_in_the_same_way(tmp_path: Path) -> None:
    write_coco(tmp_path / "mice", "labels.json", NAMES)
    own = read_own_data(tmp_path / "mice")
    assert own.made
    assert own.keypoints == FIVE
    assert own.edges == (("nose_tip", "left_ear"), ("nose_tip", "right_ear"), ("tail", "back"))
    train, val = own.splits["train"], own.splits["val"]
    assert (train.num_images, val.num_images) == (8, 2)
    assert train.images == tmp_path / "mice/images"
    ids = [{entry["image_id"] for entry in part.content["annotations"]} for part in (train, val)]  # type: ignore[index, union-attr, call-overload]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == 10
    assert read_own_data(tmp_path / "mice") == own


def test_the_images_of_a_folder_stay_together(tmp_path: Path) -> None:
    names = [f"video{video}/{frame}.jpg" for video in range(6) for frame in range(4)]
    write_coco(tmp_path, "labels.json", names)
    train, val = divide(json.loads((tmp_path / "labels.json").read_text()), tmp_path)
    videos = [{entry["file_name"].split("/")[0] for entry in part["images"]} for part in (train, val)]  # type: ignore[index, union-attr, call-overload]
    assert not videos[0] & videos[1]
    assert len(videos[1]) == 1


def test_named_splits_are_read_where_they_lie(tmp_path: Path) -> None:
    write_coco(tmp_path, "annotations/mice_train.json", NAMES, image_folder="train")
    write_coco(tmp_path, "annotations/mice_val.json", NAMES[:3], image_folder="val")
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps({"images": [], "annotations": [{"bbox": [0, 0, 1, 1]}]}))
    plan = plan_data("own", tmp_path, tmp_path / "project")
    entry = yaml.safe_load(plan.section)["data"]["sets"]["own"]
    assert entry["annotations"] == str(tmp_path / "annotations")
    assert entry["train"] == {"annotations": "mice_train.json", "images": str(tmp_path / "train")}
    assert entry["val"] == {"annotations": "mice_val.json", "images": str(tmp_path / "val")}
    assert plan.own is not None
    assert [path.name for path in write_own(plan.own, tmp_path / "project")] == ["skeleton.yaml"]


def test_annotations_among_images_are_copied_for_dvc_to_watch_them_alone(tmp_path: Path) -> None:
    for split, number in (("train", 6), ("val", 2)):
        write_coco(tmp_path, f"{split}.json", NAMES[:number], image_folder=".")
    project = tmp_path / "project"
    plan = plan_data("own", tmp_path, project)
    assert plan.own is not None
    write_own(plan.own, project)
    assert (project / "annotations/own/train.json").read_text() == (tmp_path / "train.json").read_text()
    raw = yaml.safe_load(plan.render(read_template("params.yaml")))
    params = parse_params(raw, source="params.yaml")
    assert str(params.data.sets["own"].annotations) == "annotations/own"
    assert params.track.sets == ()
    assert params.train.epochs == 210


def test_the_skeleton_is_written_or_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco(tmp_path / "mice", "labels.json", NAMES)
    plan = plan_data("own", tmp_path / "mice", tmp_path / "project")
    assert plan.own is not None
    write_own(plan.own, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    skeleton = load_skeleton("skeleton.yaml")
    assert skeleton.keypoints == FIVE
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.edges == ((0, 1), (0, 2), (3, 4))
    write_coco(tmp_path / "people", "labels.json", NAMES, keypoints=load_skeleton("coco17").keypoints)
    known = read_own_data(tmp_path / "people")
    assert known.skeleton == "coco17"
    assert yaml.safe_load(plan_data("own", tmp_path / "people", tmp_path / "p").section)["data"]["skeleton"] == "coco17"


def test_left_and_right_are_told_by_their_names() -> None:
    assert flip_pairs(("l_eye", "r_eye", "eye.R", "eye.L", "LKnee", "RKnee", "tail", "level")) == [
        ("l_eye", "r_eye"), ("eye.L", "eye.R"), ("LKnee", "RKnee")
    ]  # fmt: skip
    assert flip_pairs(("top", "bottom", "left")) == []


def test_keypoints_without_names_are_numbered(tmp_path: Path) -> None:
    write_coco(tmp_path, "labels.json", NAMES)
    content = json.loads((tmp_path / "labels.json").read_text())
    content["categories"] = [{"id": 1, "name": "mouse"}]
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert read_own_data(tmp_path).keypoints == tuple(f"keypoint_{number}" for number in range(1, 6))


def test_bad_folders_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_own_data(tmp_path / "gone")
    with pytest.raises(ConfigError, match="name the folder with --data"):
        plan_data("own", None, tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/broken.json").write_text("{")
    with pytest.raises(DataError, match="no JSON file in COCO's form with keypoints"):
        read_own_data(tmp_path / "a")
    write_coco(tmp_path / "one", "labels.json", NAMES[:1])
    with pytest.raises(DataError, match="1 images with a name and an id"):
        read_own_data(tmp_path / "one")
    write_coco(tmp_path / "two", "first.json", NAMES)
    write_coco(tmp_path / "two", "second.json", NAMES)
    with pytest.raises(DataError, match=r"2 annotation files \(first.json, second.json\)"):
        read_own_data(tmp_path / "two")
    write_coco(tmp_path / "lost", "labels.json", NAMES)
    for path in (tmp_path / "lost/images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no folder below it holds '000\.jpg'"):
        read_own_data(tmp_path / "lost")
