"""The search of tracker parameters on training videos with a model's own poses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from poseline.artifacts import Layout
from poseline.config import Params, load_params
from poseline.core.boxes import box_iou
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import read_folder
from poseline.errors import DataError
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.track import tune
from poseline.track.tune import override
from poseline.track.videos import list_videos


@pytest.fixture
def params(project: Path, tiny: tuple[str, ...]) -> Params:
    """The drawn project with an untrained model, which finds some pose in every box."""
    params = load_params(project / "params.yaml", [*tiny, "track.min_pose_score=0", "track.bytepose.high_score=0"])
    torch.manual_seed(0)
    skeleton = load_skeleton(params.data.skeleton)
    module = build_model(params.model, params.codec, skeleton.num_keypoints)
    save_model(project / "data/model", module, SavedModel(params.model, params.codec, params.data.skeleton))
    return params


def test_the_search_writes_its_report_and_never_ends_below_its_start(params: Params, project: Path) -> None:
    found = tune.tune(params, Layout(Path()), "cpu", "posetrack", candidates=4, seed=3)
    report = json.loads((project / "reports/track_tuning.json").read_text())
    assert (report["kind"], report["seed"], report["candidates"], report["metric"], report["videos"]) == ("bytepose", 3, 4, "hota", 1)
    assert report["score"] == found.score >= found.start_score == report["start_score"]
    assert {trial["candidate"] for trial in report["trials"]} == set(range(5))
    chosen = {name.removeprefix("track."): value for name, value in found.overrides.items()}
    assert override(params.track, chosen)
    again = tune.tune(params, Layout(Path()), "cpu", "posetrack", candidates=4, seed=3)
    assert again.summary == found.summary


def test_videos_that_are_reported_are_refused(params: Params) -> None:
    posetrack = params.data.sets["posetrack"]
    same = posetrack.model_copy(update={"train": posetrack.val})
    data = params.data.model_copy(update={"sets": {**params.data.sets, "posetrack": same}})
    changed = params.model_copy(update={"data": data})
    with pytest.raises(DataError, match="train and val are the same"):
        tune.tune(changed, Layout(Path()), "cpu", "posetrack", candidates=1, seed=0)
    val = sorted(Path("data/mini/posetrack/annotations/val").glob("*.json"))[0]
    (val.parents[1] / "train" / val.name).write_text(val.read_text())
    with pytest.raises(DataError, match="is to be reported"):
        tune.tune(params, Layout(Path()), "cpu", "posetrack", candidates=1, seed=0)


def test_simulated_boxes_lie_near_people_and_come_from_the_seed(params: Params) -> None:
    videos = list_videos(params.data.sets["posetrack"].annotations / "annotations/train", params.data.sets["posetrack"].train.images)
    boxes = tune.simulate_boxes(videos, 0)
    pd.testing.assert_frame_equal(boxes, tune.simulate_boxes(videos, 0))
    assert not boxes.equals(tune.simulate_boxes(videos, 1))
    people = np.concatenate([frame.people.bbox_xyxy for frame in videos[0].sequence.frames[:1]])
    first = boxes[boxes["frame_index"] == 0][["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]].to_numpy()
    assert box_iou(people, first).max(axis=1).mean() > 0.5


def test_a_tracker_that_tells_people_apart_scores_higher(params: Params) -> None:
    """The truth as predictions: the default tracker against one that may hardly link anything."""
    posetrack = params.data.sets["posetrack"]
    videos = {v.sequence.name: v for v in list_videos(posetrack.annotations / "annotations/val", posetrack.val.images)}
    poses = {
        name: [replace(frame.people, pose_scores=np.full(len(frame.people), 0.9)) for frame in video.sequence.frames]
        for name, video in videos.items()
    }
    assert set(videos) == set(read_folder(params.data.sets["posetrack"].annotations / "annotations/val"))
    poor = override(params.track, {"bytepose.match_threshold": 1.0, "bytepose.relink.enabled": False})
    for metric in ("hota", "mota", "idf1"):
        good = tune.score_config(params.track, videos, poses, metric)
        assert good > tune.score_config(poor, videos, poses, metric) + 0.1
