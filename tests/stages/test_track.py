"""Stage track and its scores on drawn videos whose predictions are the truth, shaken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poseline.artifacts import Layout, PoseTable, TableHeader, read_poses, read_table, write_json, write_poses
from poseline.config import Params, load_params
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.evaluate import list_switches
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.scoring import list_followed, score_pose_tracking, score_posetrack
from poseline.stages import score, track
from poseline.track.build import track_video
from poseline.track.videos import frame_poses, list_videos


@pytest.fixture
def params(project: Path, tiny: tuple[str, ...]) -> Params:
    return load_params(project / "params.yaml", tiny)


@pytest.fixture
def layout(params: Params) -> Layout:
    """The drawn project with predictions: the true poses of val, each joint some pixels off."""
    layout, rng = Layout(Path()), np.random.default_rng(0)
    tables = []
    for video in list_videos(params.data.sets["posetrack"].annotations / "annotations/val", params.data.sets["posetrack"].val.images):
        for frame, image_id, path in zip(video.sequence.frames, video.image_ids, video.images, strict=True):
            count = len(frame.people)
            poses = PoseSet(
                keypoints=frame.people.keypoints + rng.normal(size=(count, 17, 2)).astype(np.float32),
                keypoint_scores=np.where(frame.people.visibility > 0, 0.9, 0.05), bbox_xyxy=frame.people.bbox_xyxy,
                bbox_scores=np.full(count, 0.9), pose_scores=np.full(count, 0.9),
            )  # fmt: skip
            row = {
                "image_id": image_id, "image_path": path.as_posix(), "video_id": video.sequence.name, "frame_index": frame.frame_index,
                "boxes": "detections", "annotation_id": -1,
            }  # fmt: skip
            tables.append(PoseTable(pd.DataFrame([row] * count, columns=list(row)), poses))
    folder = layout.predictions / "posetrack"
    table = PoseTable.concat([part for part in tables if len(part)])
    write_poses(folder / "poses.parquet", table, TableHeader("predictions", "posetrack17", "c", "s"))
    about = {
        "enabled": True, "flip": True, "input_wh": [32, 64], "codec": "udp", "nms": "parametric", "nms_mode": "fixed",
        "score": "mean_visible",
    }
    write_json(folder / "about.json", about)
    return layout


def test_the_table_and_the_submission_carry_the_same_ids_and_frame_numbers(params: Params, layout: Layout) -> None:
    counts = track.run(params, layout, "posetrack")
    tracks, header = read_poses(layout.tracks / "posetrack" / "tracks.parquet", kind="tracks", made_by="track")
    assert header.skeleton == "posetrack17"
    assert counts["poses"] == len(tracks) > 0
    for name, sequence in read_folder(layout.tracks / "posetrack" / "tracked").items():
        for frame in sequence.frames:
            own = tracks.where(video_id=name, frame_index=frame.frame_index)
            assert own.poses.track_ids.tolist() == frame.people.track_ids.tolist()
            assert set(own.rows["image_id"]) <= {frame.image_id}
    assert [part.poses.track_ids.min() for _, part in tracks.groups("video_id")] == [0, 0]


def test_trackers_hear_how_many_frames_were_skipped(params: Params, layout: Layout) -> None:
    """Every second frame's number doubled: the stage tells the tracker, which then sees slower people; ids stay."""
    (video, *_) = list_videos(params.data.sets["posetrack"].annotations / "annotations/val", params.data.sets["posetrack"].val.images)
    table, _ = read_poses(layout.predictions / "posetrack/poses.parquet", kind="predictions", made_by="predict")
    predicted = frame_poses(video, table)
    predicted[2] = PoseSet.empty(17)  # everybody is missed once, whoever is in the video
    spread = replace(video, sequence=replace(video.sequence, frames=tuple(
        replace(frame, frame_index=10 * frame.frame_index) for frame in video.sequence.frames
    )))  # fmt: skip
    short = params.track.model_copy(update={"bytepose": params.track.bytepose.model_copy(update={"max_lost_seconds": 0.12})})
    plain, slow = (
        track_video(short, load_skeleton("posetrack17"), predicted, frame_indices=one.frame_indices, images=one.read_images())
        for one in (video, spread)
    )
    assert max(poses.track_ids.max() for poses in slow if len(poses)) > max(poses.track_ids.max() for poses in plain if len(poses))


def test_scores_hold_strict_hota_identity_and_every_switch(params: Params, layout: Layout) -> None:
    track.run(params, layout, "posetrack")
    headline = score.run(params, layout, "posetrack")
    assert {"map", "mota", "motp", "hota", "idf1"} <= set(headline)
    metrics = json.loads((layout.metrics / "posetrack.json").read_text())
    tree = metrics["tracking"]
    wanted = {"hota", "deta", "assa", "idf1", "switches", "fragmentations", "mostly_tracked", "mostly_lost", "keypoint_hota", "strict"}
    assert wanted <= set(tree)
    assert metrics["hota"] == tree["hota"]
    assert 0 < tree["keypoint_hota"]["hota"] <= 1
    assert len(tree["keypoint_hota"]["joints"]) == 15
    truth = read_folder(params.data.sets["posetrack"].annotations / "annotations/val")
    strict = score_posetrack(truth, read_folder(layout.tracks / "posetrack" / "tracked"), mode="strict").metrics
    assert tree["strict"]["mota"] == strict["mota"]
    assert len(tree["switch_events"]) == tree["switches"]
    people, _ = read_table(layout.per_person / "posetrack/people.parquet", kind="per_person", made_by="score")
    assert people["switches"].sum() == tree["switches"]
    followed, _ = read_table(layout.per_person / "posetrack/followed.parquet", kind="followed", made_by="score")
    assert (followed["previous_id"] >= 0).sum() == tree["switches"]
    objects = score_pose_tracking(truth, read_folder(layout.tracks / "posetrack" / "tracked")).tracks.objects
    assert len(followed) == objects  # every scored person of every frame, followed or not
    assert not followed.duplicated(["video_id", "frame_index", "person"]).any()
    assert followed.loc[followed["track_id"] >= 0, "oks"].between(0.5, 1).all()
    assert {"hota", "idf1", "fragmentations"} <= set(people)


def test_a_switch_is_told_with_video_frame_person_and_both_ids(params: Params, layout: Layout) -> None:
    """One person's id changed from frame 3 on."""
    track.run(params, layout, "posetrack")
    truth = read_folder(params.data.sets["posetrack"].annotations / "annotations/val")
    found = read_folder(layout.tracks / "posetrack" / "tracked")
    before = score_pose_tracking(truth, found)
    name = next(iter(found))
    changed = tuple(
        replace(frame, people=frame.people.with_track_ids(np.where((frame.people.track_ids == 0) & (frame.frame_index >= 3), 900,
                                                                   frame.people.track_ids)))
        for frame in found[name].frames
    )  # fmt: skip
    found[name] = replace(found[name], frames=changed)
    after = list_followed(truth, found, score_pose_tracking(truth, found))
    known = list_switches(list_followed(truth, read_folder(layout.tracks / "posetrack" / "tracked"), before))
    (event,) = [event for event in list_switches(after) if event not in known]
    assert (event.video, event.frame, event.old_id, event.new_id) == (name, 3, 0, 900)
    frame = next(frame for frame in truth[name].frames if frame.frame_index == 3)
    assert event.person in frame.people.track_ids.tolist()


def test_videos_are_written_on_request_and_only_then(params: Params, layout: Layout) -> None:
    track.run(params, layout, "posetrack")
    assert not (layout.tracks / "posetrack" / "videos").exists()
    track.run(params.model_copy(update={"track": params.track.model_copy(update={"video": True})}), layout, "posetrack")
    names = sorted(path.stem for path in (layout.tracks / "posetrack" / "videos").iterdir())
    assert names == sorted(read_folder(layout.tracks / "posetrack" / "tracked"))
