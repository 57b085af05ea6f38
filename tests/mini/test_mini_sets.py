"""The drawn data sets: official forms, reproducible bytes, nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pydantic import ValidationError
from scipy.io import loadmat

from poseline.config.dataset import MiniConfig
from poseline.errors import ConfigError, DataError
from poseline.mini import draw_mini

TINY = MiniConfig(
    seed=3, coco_train_images=4, coco_val_images=6, mpii_train_images=3, mpii_val_images=4,
    posetrack_train_videos=1, posetrack_val_videos=2, posetrack_frames=4, posetrack_val_frames=(3, 5), processes=1,
)  # fmt: skip


def digest(folder: Path) -> dict[str, str]:
    """Hash of every file by its relative path."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini") / "mini"
    draw_mini(TINY, folder)
    return folder


def test_same_seed_gives_same_bytes_in_two_processes(drawn: Path, tmp_path: Path) -> None:
    draw_mini(TINY.model_copy(update={"processes": 2}), tmp_path / "again")
    assert digest(tmp_path / "again") == digest(drawn)


def test_other_seed_gives_other_images(drawn: Path, tmp_path: Path) -> None:
    small = TINY.model_copy(update={"seed": 4, "sets": ("coco",)})
    draw_mini(small, tmp_path / "other")
    first = "coco/train2017/000000000001.jpg"
    assert digest(tmp_path / "other")[first] != digest(drawn)[first]
    assert (tmp_path / "other/mpii/annotations/NOT_DRAWN.txt").is_file()
    assert [p.name for p in (tmp_path / "other/posetrack").rglob("*.*")] == ["NOT_DRAWN.txt"]


def test_counts_are_those_of_the_files(tmp_path: Path) -> None:
    counts = draw_mini(TINY.model_copy(update={"sets": ("mpii",)}), tmp_path / "mini")
    entries = json.loads((tmp_path / "mini/mpii/annotations/train.json").read_text())
    assert counts["mpii_train_people"] == len(entries)
    assert counts["mpii_train_images"] == 3


def test_coco_files_load_in_pycocotools(drawn: Path) -> None:
    annotations = drawn / "coco/annotations"
    coco = COCO(str(annotations / "person_keypoints_val2017.json"))
    assert len(coco.imgs) == 6
    for image in coco.imgs.values():
        assert cv2.imread(str(drawn / "coco/val2017" / image["file_name"])).shape == (240, 320, 3)
    people = [one for one in coco.anns.values() if not one["iscrowd"]]
    assert len(people) >= 6
    for one in people:
        assert len(one["keypoints"]) == 51
        assert one["num_keypoints"] == sum(v > 0 for v in one["keypoints"][2::3])
        mask = coco.annToMask(one).astype(bool)
        x, y, w, h = one["bbox"]
        rows, columns = np.nonzero(mask)
        assert columns.min() >= x - 1
        assert columns.max() <= x + w
        assert rows.min() >= y - 1
        assert rows.max() <= y + h
        assert one["area"] == pytest.approx(mask.sum(), rel=0.12, abs=20)
    results = coco.loadRes(str(annotations / "person_detections_val2017.json"))
    assert {one["image_id"] for one in results.anns.values()} <= set(coco.imgs)
    assert all(0 < one["score"] <= 1 for one in results.anns.values())


def test_mpii_files_agree_with_one_another(drawn: Path) -> None:
    annotations = drawn / "mpii/annotations"
    entries = json.loads((annotations / "valid.json").read_text())
    truth = loadmat(annotations / "gt_valid.mat")
    joints, present = np.array([e["joints"] for e in entries]), np.array([e["joints_vis"] for e in entries])
    assert truth["pos_gt_src"].shape == (16, 2, len(entries))
    np.testing.assert_array_equal(truth["jnt_missing"].T, 1 - present)
    np.testing.assert_allclose(truth["pos_gt_src"].transpose(2, 0, 1)[present > 0], joints[present > 0])
    assert (joints[present == 0] == -1).all()
    heads = truth["headboxes_src"]
    assert (heads[1] > heads[0]).all()
    # The crown lies at the head's edge: within the box or barely above it.
    crown, size = joints[:, 9], np.linalg.norm(heads[1] - heads[0], axis=0)
    off = np.maximum(heads[0].T - crown, crown - heads[1].T).max(axis=1) / size
    assert off[present[:, 9] > 0].max() < 0.2
    assert [str(one[0]) for one in truth["dataset_joints"][0]][:2] == ["rank", "rkne"]


def test_mpii_release_struct_lists_the_same_people(drawn: Path) -> None:
    release = loadmat(drawn / "mpii/annotations/mpii_human_pose_v1_u12_1.mat", squeeze_me=False)["RELEASE"][0, 0]
    annolist, training = release["annolist"][0], release["img_train"][0]
    assert training.tolist() == [1] * 3 + [0] * 4
    entries = json.loads((drawn / "mpii/annotations/train.json").read_text())
    names = [str(one["image"][0, 0]["name"][0]) for one in annolist]
    rectangles = annolist[names.index(entries[0]["image"])]["annorect"][0]
    scales = [float(one["scale"][0, 0]) for one in rectangles]
    assert entries[0]["scale"] in scales
    points = rectangles[scales.index(entries[0]["scale"])]["annopoints"][0, 0]["point"][0]
    found = {int(p["id"][0, 0]): [float(p["x"][0, 0]), float(p["y"][0, 0])] for p in points}
    assert found == {i: xy for i, (xy, seen) in enumerate(zip(entries[0]["joints"], entries[0]["joints_vis"], strict=True)) if seen}


def test_posetrack_sequences_have_the_official_form(drawn: Path) -> None:
    folder = drawn / "posetrack/annotations"
    files = sorted((folder / "val").glob("*.json"))
    assert len(files) == 2
    for path in files:
        content = json.loads(path.read_text())
        frames = len(content["images"])
        assert 3 <= frames <= 5
        assert [image["frame_id"] % 10_000 for image in content["images"]] == list(range(frames))
        for image in content["images"]:
            assert image["nframes"] == frames
            assert str(image["id"]) == f"1{image['vid_id']}{image['id'] % 10_000:04d}"
            assert (drawn / "posetrack" / image["file_name"]).is_file()
            assert len(image["ignore_regions_x"]) == len(image["ignore_regions_y"])
        for one in content["annotations"]:
            points = np.array(one["keypoints"]).reshape(17, 3)
            assert not points[3:5].any()
            assert set(points[:, 2]) <= {0, 1}
            assert not points[points[:, 2] == 0].any()
            assert one["image_id"] in {image["id"] for image in content["images"]}
        assert len({one["id"] for one in content["annotations"]}) == len(content["annotations"])
        assert content["categories"][0]["keypoints"][1:3] == ["head_bottom", "head_top"]
    detections = json.loads((folder / "detections_val.json").read_text())
    assert {one["image_id"] // 10_000 for one in detections} <= {1_000_501, 1_000_502}


def test_readme_says_that_all_is_drawn(drawn: Path) -> None:
    text = (drawn / "README.txt").read_text()
    assert "synthetic" in text
    assert "seed 3" in text
    assert "simulated" in text


def test_a_drawn_set_is_replaced_whole(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"sets": ("mpii",)})
    draw_mini(small, tmp_path / "mini")
    (tmp_path / "mini/stray.txt").write_text("old")
    draw_mini(small, tmp_path / "mini")
    assert not (tmp_path / "mini/stray.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["mini"]


def test_a_kill_leaves_no_half_set(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from poseline.config.dataset import MiniConfig; from poseline.mini import draw_mini;"
        f"draw_mini(MiniConfig(processes=1), Path({str(tmp_path / 'mini')!r}))"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".mini.*.partial/coco/train2017/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "mini").exists()
    assert list(tmp_path.glob(".mini.*.partial"))
    draw_mini(TINY.model_copy(update={"sets": ("mpii",)}), tmp_path / "mini")
    assert [p.name for p in tmp_path.iterdir()] == ["mini"]


def test_counts_of_videos_are_those_of_the_files(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"sets": ("posetrack",), "posetrack_val_videos": 1, "posetrack_val_frames": (2, 2)})
    counts = draw_mini(config, tmp_path / "mini")
    assert counts["posetrack_train_images"] == len(list((tmp_path / "mini/posetrack/images/train").rglob("*.jpg"))) == 4
    assert counts["posetrack_val_images"] == len(list((tmp_path / "mini/posetrack/images/val").rglob("*.jpg"))) == 2


@pytest.mark.parametrize("frames", [(1, 5), (9, 3)])
def test_numbers_of_frames_that_no_video_can_have(frames: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="expected the least and the most number of frames"):
        MiniConfig(posetrack_val_frames=frames)


def test_images_too_small_to_draw_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mini.image_wh: expected at least 96 pixels a side, got \[64, 48\]"):
        draw_mini(TINY.model_copy(update={"image_wh": (64, 48)}), tmp_path / "mini")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        draw_mini(TINY, tmp_path / "file" / "mini")
