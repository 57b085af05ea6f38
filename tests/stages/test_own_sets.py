"""Data sets of your own, by parameters alone: a skeleton of four keypoints without pairs, and a second set in another format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from poseline.artifacts import Layout, read_poses
from poseline.config import load_params
from poseline.core.skeletons import load_skeleton
from poseline.experiments import StageRun
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.stages import predict, preprocess, report, score, train, validate

FOUR = {"tip": "nose", "tail": "left_hip", "upper_end": "left_wrist", "lower_end": "left_ankle"}
CROWDPOSE = {name: name for name in load_skeleton("crowdpose14").keypoints if name not in ("head_top", "neck")}


def write_annotations(drawn: Path, path: Path, keypoints: Sequence[str], source: dict[str, str]) -> None:
    """The drawn people of a COCO file with other keypoints; those without a source are not labelled."""
    content = json.loads(drawn.read_text())
    coco = load_skeleton("coco17")
    for person in content["annotations"]:
        given = np.array(person["keypoints"]).reshape(-1, 3)
        taken = np.array([given[coco.index(source[name])] if name in source else np.zeros(3) for name in keypoints])
        person["keypoints"], person["num_keypoints"] = taken.reshape(-1).tolist(), int((taken[:, 2] > 0).sum())
    for image in content["images"]:
        image["crowdIndex"] = 0.3
    content["categories"] = [{"id": 1, "name": "person", "keypoints": list(keypoints)}]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def own_params(project: Path) -> Path:
    """The project with params.yaml that lists the two sets of your own in place of the drawn ones."""
    drawn = project / "data/mini/coco/annotations"
    for split, name in (("train", "person_keypoints_train2017.json"), ("val", "person_keypoints_val2017.json")):
        write_annotations(drawn / name, project / f"data/own/{split}.json", tuple(FOUR), FOUR)
    write_annotations(drawn / name, project / "data/crowd/test.json", load_skeleton("crowdpose14").keypoints, CROWDPOSE)
    skeleton = {"name": "stick", "keypoints": list(FOUR), "flip_pairs": [], "edges": [["tip", "tail"]], "sigmas": [0.05] * 4}
    (project / "stick.yaml").write_text(yaml.safe_dump(skeleton))
    raw = yaml.safe_load((project / "params.yaml").read_text())
    images = {split: f"data/mini/coco/{split}2017" for split in ("train", "val")}
    empty = {"enabled": True, "detections": None, "head_boxes": None}
    raw["data"] = {
        "skeleton": "stick.yaml",
        "sets": {
            "own": {
                **empty, "format": "coco", "skeleton": "stick.yaml", "annotations": "data/own", "results": "data/predictions/own",
                **{split: {"annotations": f"{split}.json", "images": images[split]} for split in images},
            },
            "crowd": {
                **empty, "format": "crowdpose", "skeleton": None, "annotations": "data/crowd", "results": "data/predictions/crowd",
                "train": None, "val": {"annotations": "test.json", "images": images["val"]},
            },
        },
    }  # fmt: skip
    raw["track"]["sets"] = []
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return project / "params.yaml"


def test_a_skeleton_without_pairs_trains_and_scores(own_params: Path, tiny: tuple[str, ...]) -> None:
    params, layout = load_params(own_params, [*tiny, "predict.nms.kind=none", "data.sets.crowd.enabled=false"]), Layout(Path())
    assert validate.run(params, layout, "own")["errors"] == 0
    preprocess.run(params, layout)
    train.run(params, layout, "cpu", StageRun())
    predicted = predict.run(params, layout, "cpu", "own")["ground_truth"]
    table, header = read_poses(layout.predictions / "own/poses.parquet", kind="predictions", made_by="predict")
    assert table.poses.keypoints.shape == (predicted, 4, 2)
    assert header.skeleton == "stick"
    made = score.run(params, layout, "own")
    assert 0 <= made["ap"] <= 1
    assert json.loads(Path("reports/metrics/own.json").read_text())["protocol"]["num_people"] > 0
    report.run(params, layout)  # the skeleton's own name leads back to its file
    assert "own" in Path("reports/index.html").read_text()


def test_a_set_in_another_format_is_one_entry(own_params: Path, tiny: tuple[str, ...]) -> None:
    raw = yaml.safe_load(own_params.read_text())
    del raw["data"]["sets"]["own"]
    own_params.write_text(yaml.safe_dump(raw, sort_keys=False))
    params, layout = load_params(own_params, [*tiny, "predict.nms.kind=none", "data.skeleton=crowdpose14"]), Layout(Path())
    assert validate.run(params, layout, "crowd")["errors"] == 0
    preprocess.run(params, layout)
    torch.manual_seed(0)
    save_model(layout.model, build_model(params.model, params.codec, 14), SavedModel(params.model, params.codec, "crowdpose14"))
    predict.run(params, layout, "cpu", "crowd")
    assert {"ap", "ap_medium"} <= set(score.run(params, layout, "crowd"))
    report.run(params, layout)
    assert "crowd" in Path("reports/index.html").read_text()
