"""PoseTrack folders -> one row a person and frame."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from reading import arrays, read_format, tabulate

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError

POSETRACK17 = load_skeleton("posetrack17")
REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[2].parent / "shared" / "real"))


def write_video(folder: Path, name: str, *, first_id: int, frames: int = 2, prefix: str = "images/val") -> None:
    """A PoseTrack18 file: each frame but the last holds two people; the last one is not labelled."""
    images, people = [], []
    for frame in range(frames):
        image_id = first_id + frame
        images.append(
            {"id": image_id, "file_name": f"{prefix}/{name}/{frame:06d}.jpg", "is_labeled": frame < frames - 1,
             "ignore_regions_x": [[0, 5, 5]], "ignore_regions_y": [[0, 0, 5]]}
        )  # fmt: skip
        for track in range(2 if frame < frames - 1 else 0):
            keypoints = np.zeros((17, 3))
            keypoints[[0, 5, 6]] = [[20 + track, 10, 1], [30, 25, 1], [10, 25, 1]]
            people.append(
                {"id": image_id * 100 + track, "image_id": image_id, "category_id": 1, "track_id": track, "bbox": [5, 4, 40, 30],
                 "bbox_head": [15, 5, 10, 12], "keypoints": keypoints.ravel().tolist()}
            )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(POSETRACK17.keypoints)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))


def write_frames(folder: Path, name: str, frames: int = 2) -> None:
    (folder / name).mkdir(parents=True)
    for frame in range(frames):
        cv2.imwrite(str(folder / name / f"{frame:06d}.jpg"), np.zeros((48, 64, 3), np.uint8))


def test_rows_frames_and_ignore_regions(tmp_path: Path) -> None:
    write_video(tmp_path / "val", "000002_mpii_test", first_id=10000020000)
    write_video(tmp_path / "val", "000001_mpii_test", first_id=10000010000)
    annotations = read_format("posetrack", tmp_path / "val", tmp_path, split="val", skeleton=load_skeleton("union21"))
    records, images = tabulate(annotations), annotations.images
    assert images["video_id"].tolist() == ["000001_mpii_test"] * 2 + ["000002_mpii_test"] * 2
    assert images["frame_index"].tolist() == [0, 1, 0, 1]
    assert records["annotation_id"].tolist() == [1000001000000, 1000001000001, 1000002000000, 1000002000001]
    assert records["track_id"].tolist() == [0, 1, 0, 1]
    assert annotations.ignore_regions[10000010001][0].tolist() == [[0, 0], [5, 0], [5, 5]]
    found = arrays(annotations)
    assert found.keypoints[1, 0].tolist() == [21, 10]
    assert found.visibility[0].tolist() == [2, 0, 0, 0, 0, 2, 2] + [0] * 14
    assert found.bbox_xyxy[0].tolist() == [5, 4, 45, 34]
    assert found.head_xyxy[0].tolist() == [15, 5, 25, 17]
    assert records["area"].iloc[0] == pytest.approx(0.53 * 40 * 30)


@pytest.mark.parametrize("folder", ["", "images", "images/val"])
def test_picture_folder_may_lie_at_any_depth(tmp_path: Path, folder: str) -> None:
    write_video(tmp_path / "annotations", "v1", first_id=1)
    write_frames(tmp_path / "images" / "val", "v1")
    images = read_format("posetrack", tmp_path / "annotations", tmp_path / folder, split="val", skeleton=POSETRACK17).images
    assert images["image_path"].iloc[1] == (tmp_path / "images/val/v1/000001.jpg").as_posix()
    assert images[["width", "height"]].to_numpy().tolist() == [[64, 48]] * 2


def test_shared_image_ids_are_renumbered(tmp_path: Path) -> None:
    write_video(tmp_path / "val", "a", first_id=5)
    write_video(tmp_path / "val", "b", first_id=5)
    annotations = read_format("posetrack", tmp_path / "val", tmp_path, split="val", skeleton=POSETRACK17)
    assert annotations.images["image_id"].tolist() == [1, 2, 3, 4]
    assert tabulate(annotations)["image_id"].tolist() == [1, 1, 3, 3]
    assert tabulate(annotations)["annotation_id"].is_unique


def test_large_track_ids_keep_annotation_ids_unique(tmp_path: Path) -> None:
    write_video(tmp_path / "val", "a", first_id=5)
    path = tmp_path / "val" / "a.json"
    path.write_text(path.read_text().replace('"track_id": 1', '"track_id": 105'))
    annotations = read_format("posetrack", tmp_path / "val", tmp_path, split="val", skeleton=POSETRACK17)
    assert tabulate(annotations)["annotation_id"].tolist() == [500, 501]
    assert tabulate(annotations)["track_id"].tolist() == [0, 105]


def test_videos_without_people_and_missing_folders(tmp_path: Path) -> None:
    write_video(tmp_path / "val", "a", first_id=1, frames=1)
    annotations = read_format("posetrack", tmp_path / "val", tmp_path, split="val", skeleton=POSETRACK17)
    assert (len(tabulate(annotations)), len(annotations.images)) == (0, 1)
    with pytest.raises(DataError, match="no such file or folder"):
        read_format("posetrack", tmp_path / "none", tmp_path, split="val", skeleton=POSETRACK17)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real samples (POSELINE_REAL)")
def test_real_sample() -> None:
    folder = REAL / "formats/posetrack18"
    annotations = read_format("posetrack", folder / "annotations/val", folder / "images/val", split="val", skeleton=POSETRACK17)
    assert (len(tabulate(annotations)), len(annotations.images)) == (14, 3)
    assert annotations.images["width"].tolist() == [1920, 1920, 1920]
    official = json.loads((folder / "annotations/val/012834_mpii_test.json").read_text())["annotations"]
    own = tabulate(annotations)[tabulate(annotations)["video_id"] == "012834_mpii_test"]
    assert own["annotation_id"].tolist() == [entry["id"] for entry in official]
