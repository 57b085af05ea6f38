"""The manifest counts what is there and changes when the data do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from reading import read_format

from poseline.core.skeletons import load_skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.manifest import build_manifest, hash_path


@pytest.fixture
def annotations(tmp_path: Path) -> Annotations:
    keypoints = [5, 5, 2] * 3 + [0, 0, 0] * 14
    person = {"image_id": 1, "bbox": [1, 1, 9, 9], "area": 50, "keypoints": keypoints}
    people = [{**person, "id": 1}, {**person, "id": 2, "keypoints": [0] * 51}, {**person, "id": 3, "iscrowd": 1, "keypoints": [0] * 51}]
    images = [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 20}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": people}))
    (tmp_path / "1.jpg").write_bytes(b"12345")
    return read_format("coco", tmp_path / "a.json", tmp_path, split="train", skeleton=load_skeleton("union21"))


def test_counts_and_hashes(annotations: Annotations) -> None:
    entry = build_manifest([annotations])["coco/train"]
    assert isinstance(entry, dict)
    assert {key: value for key, value in entry.items() if key.startswith("num_")} == {
        "num_images": 1, "num_videos": 0, "num_people": 3, "num_crowds": 1, "num_labelled_people": 1, "num_keypoints": 3, "num_tracks": 0
    }  # fmt: skip
    assert entry["annotations_sha256"] == hashlib.sha256(annotations.source.read_bytes()).hexdigest()
    json.dumps(entry, allow_nan=False)


def test_image_hash_follows_paths_and_sizes_not_times(annotations: Annotations, tmp_path: Path) -> None:
    before = build_manifest([annotations])
    (tmp_path / "1.jpg").write_bytes(b"54321")
    assert build_manifest([annotations]) == before
    (tmp_path / "1.jpg").write_bytes(b"123456")
    assert build_manifest([annotations]) != before


def test_folder_hash_follows_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    first = hash_path(tmp_path)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    second = hash_path(tmp_path)
    (tmp_path / "b.json").write_text("2")
    assert len({first, second, hash_path(tmp_path)}) == 3
    assert hash_path(tmp_path / "none") == ""
