"""The Python face."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_squares import draw_frame

import poseline
from poseline.core.skeletons import load_skeleton

UNSURE = {"visibility": np.where(np.arange(17) == 3, 0, 2)[None]}


def one_pose(**more: object) -> poseline.PoseSet:
    points = np.random.default_rng(0).uniform(10, 90, (1, 17, 2))
    values = {"keypoints": points, "keypoint_scores": np.full((1, 17), 0.5), "bbox_xyxy": np.array([[10, 10, 90, 90]]), **more}
    return poseline.PoseSet(**values)  # type: ignore[arg-type]


def test_the_package_imports_nothing_heavy() -> None:
    started = time.perf_counter()
    code = "import sys, poseline; print(sorted({'torch', 'numpy', 'pandas', 'cv2'} & set(sys.modules)), poseline.__version__)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("[] ")
    assert time.perf_counter() - started < 20
    assert set(poseline.__all__) <= set(dir(poseline))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = poseline.lode  # type: ignore[attr-defined]


@pytest.mark.usefixtures("squares")
def test_images_one_by_one_and_together(tmp_path: Path) -> None:
    pose = poseline.load("data/model")
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), cv2.cvtColor(draw_frame(3), cv2.COLOR_RGB2BGR))
    images = [draw_frame(0), np.zeros((40, 50, 3), np.uint8), str(path), path]
    found = pose.batch(images)
    assert [len(poses) for poses in found] == [2, 0, 2, 2]
    for image, expected in zip(images, found, strict=True):
        assert pose(image).keypoints.tolist() == expected.keypoints.tolist()
    assert found[0].skeleton == load_skeleton("coco17")


@pytest.mark.usefixtures("squares")
def test_a_video_is_frames_with_ids(make_clip: Callable[..., Path]) -> None:
    pose = poseline.load("data/model")
    frames = list(pose.video(make_clip(), stride=2))
    assert [frame.frame_index for frame in frames] == list(range(0, 40, 2))
    assert {tuple(sorted(frame.poses.track_ids.tolist())) for frame in frames} == {(1, 2)}
    assert frames[1].time_ms == pytest.approx(80)
    assert {tuple(frame.poses.track_ids.tolist()) for frame in pose.video(make_clip(), track="none")} == {(-1, -1)}


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), "nowhere.png"])
def test_what_is_no_image_is_refused(bad: np.ndarray | str) -> None:
    with pytest.raises(poseline.PoselineError, match=r"expected an RGB image|no such image"):
        poseline.load("data/model")(bad)
    with pytest.raises(poseline.PoselineError, match="no such file"):
        poseline.load("data/model").video("nowhere.mp4")


def test_boxes_need_no_detector(finished_project: Path) -> None:
    pose = poseline.load(finished_project / "data/model", detector="none-at-all")
    found = pose(draw_frame(0), boxes=np.array([[5, 10, 25, 40], [100, 40, 120, 70]]))
    assert (len(found), found.bbox_xyxy[1].tolist()) == (2, [100, 40, 120, 70])
    assert len(pose(draw_frame(0), boxes=np.zeros((0, 4)))) == 0


def test_coco_results_leave_missing_keypoints_at_zero() -> None:
    poses = one_pose(track_ids=np.array([7]), **UNSURE)
    (entry,) = poses.to_coco(image_id=139)
    assert entry["keypoints"][9:12] == [0, 0, 0]  # type: ignore[index]
    assert (entry["image_id"], entry["category_id"], entry["track_id"], entry["bbox"]) == (139, 1, 7, [10, 10, 80, 80])


def test_a_table_has_a_row_a_person() -> None:
    table = one_pose(**UNSURE).to_pandas()
    assert len(table) == 1
    assert table["left_ear_x"].isna().all()
    assert table["nose_score"].tolist() == [0.5]


def test_supervision_and_back_keep_what_is_missing() -> None:
    pytest.importorskip("supervision")
    poses = one_pose(track_ids=np.array([7]), pose_scores=np.array([0.25]), **UNSURE)
    there = poses.to_supervision()
    assert there.xy[0, 3].tolist() == [0, 0]
    back = poseline.PoseSet.from_supervision(there)
    known = poses.visibility > 0
    assert back.visibility.tolist() == poses.visibility.tolist()
    assert back.keypoints[known] == pytest.approx(poses.keypoints[known])
    assert (back.track_ids.tolist(), back.pose_scores.tolist(), back.bbox_xyxy.tolist()) == ([7], [0.25], poses.bbox_xyxy.tolist())
    bare = type(there)(xy=there.xy, class_id=there.class_id)
    assert poseline.PoseSet.from_supervision(bare).visibility.tolist() == poses.visibility.tolist()


def test_drawing_gives_a_copy_with_people_on_it() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = one_pose().draw(image)
    assert image.max() == 0
    assert drawn.max() > 200


def test_parts_of_a_set_keep_its_skeleton() -> None:
    poses = one_pose()
    assert poses.select(np.array([0])).skeleton == poses.skeleton
    assert poseline.PoseSet.concat([poses, poses]).skeleton == poses.skeleton
    mpii = load_skeleton("mpii16")
    assert poses.convert(poses.skeleton, mpii).skeleton == mpii
    assert poses.with_track_ids(np.array([3])).to_coco()[0]["track_id"] == 3


@pytest.mark.usefixtures("squares")
def test_the_example_of_the_docs_runs(make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/python.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    make_clip("street.mp4")
    cv2.imwrite("street.jpg", cv2.cvtColor(draw_frame(0), cv2.COLOR_RGB2BGR))
    names: dict[str, object] = {}
    exec(compile(example, "docs/python.md", "exec"), names)
    assert len(names["people"]) == 2  # type: ignore[arg-type]
    assert len(names["results"]) == 2  # type: ignore[arg-type]
