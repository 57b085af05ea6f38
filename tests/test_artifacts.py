"""Files between stages: atomic, typed, and clear about what is wrong with them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poseline.artifacts import (
    PoseTable,
    TableHeader,
    atomic_file,
    atomic_folder,
    read_json,
    read_poses,
    read_table,
    write_json,
    write_poses,
    write_table,
)
from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError


def test_a_table_comes_back_with_its_header(tmp_path: Path) -> None:
    table = pd.DataFrame({"image_id": np.array([3, 4]), "keypoints": [np.array([1, 2], np.float32), np.array([3, 4], np.float32)]})
    header = TableHeader("people", "coco17", "abc", "def")
    write_table(tmp_path / "t.parquet", table, header)
    found, found_header = read_table(tmp_path / "t.parquet", kind="people", made_by="preprocess")
    assert found_header == header
    np.testing.assert_array_equal(np.stack(found["keypoints"]), np.stack(table["keypoints"]))


def drawn_poses(count: int, num_keypoints: int = 5) -> PoseTable:
    rng = np.random.default_rng(0)
    poses = PoseSet(
        keypoints=rng.uniform(0, 100, (count, num_keypoints, 2)), keypoint_scores=rng.random((count, num_keypoints)),
        bbox_xyxy=rng.uniform(0, 100, (count, 4)), visibility=rng.integers(0, 3, (count, num_keypoints)), track_ids=np.arange(count),
    )  # fmt: skip
    return PoseTable(pd.DataFrame({"image_id": np.arange(count) % 3, "video_id": [f"v{i % 2}" for i in range(count)]}), poses)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_poses_come_back_bit_for_bit_as_lists_of_fixed_size(tmp_path: Path, count: int) -> None:
    table = drawn_poses(count)
    write_poses(tmp_path / "p.parquet", table, TableHeader("predictions", "mine"))
    found, header = read_poses(tmp_path / "p.parquet", kind="predictions", made_by="predict")
    assert header.skeleton == "mine"
    for field in fields(PoseSet):
        np.testing.assert_array_equal(getattr(found.poses, field.name), getattr(table.poses, field.name))
    assert found.poses.num_keypoints == 5
    assert found.rows["image_id"].tolist() == table.rows["image_id"].tolist()
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.field("keypoints").type == pa.list_(pa.float32(), 10)
    assert schema.field("visibility").type == pa.list_(pa.uint8(), 5)


def test_a_plain_table_is_no_table_of_poses(tmp_path: Path) -> None:
    write_table(tmp_path / "p.parquet", pd.DataFrame({"a": [1]}), TableHeader("predictions"))
    with pytest.raises(ArtifactError, match="not a table of poses"):
        read_poses(tmp_path / "p.parquet", kind="predictions", made_by="predict")


def test_poses_are_chosen_grouped_and_joined_together_with_their_rows() -> None:
    table = drawn_poses(7)
    one = table.where(video_id="v1", image_id=0)
    assert one.poses.track_ids.tolist() == [3]
    groups = dict(table.groups("image_id"))
    assert {key: part.poses.track_ids.tolist() for key, part in groups.items()} == {0: [0, 3, 6], 1: [1, 4], 2: [2, 5]}
    joined = PoseTable.concat([groups[2], groups[0]])
    assert joined.poses.track_ids.tolist() == [2, 5, 0, 3, 6]
    assert joined.rows["image_id"].tolist() == [2, 2, 0, 0, 0]
    assert table.select(np.array([6, 0])).rows.index.tolist() == [0, 1]


def test_a_pose_table_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rows for 3 poses"):
        PoseTable(pd.DataFrame({"image_id": [1, 2]}), drawn_poses(3).poses)


@pytest.mark.parametrize("content", [b"", b"PAR1 not a table", b"{}"])
def test_a_damaged_table_names_the_stage_that_makes_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="poseline preprocess"):
        read_table(path, kind="people", made_by="preprocess")


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pd.DataFrame({"a": [1]}), TableHeader("tracks"))
    with pytest.raises(ArtifactError, match="expected a 'people' table"):
        read_table(tmp_path / "t.parquet", kind="people", made_by="preprocess")


def test_a_plain_parquet_file_is_no_artifact(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ArtifactError, match="not a table of this project"):
        read_table(tmp_path / "t.parquet", kind="people", made_by="preprocess")


def test_missing_and_truncated_json(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no such file. Run `poseline validate`"):
        read_json(tmp_path / "m.json", made_by="validate")
    write_json(tmp_path / "m.json", {"a": 1.5})
    assert read_json(tmp_path / "m.json", made_by="validate") == {"a": 1.5}
    (tmp_path / "m.json").write_text('{"a": 1')
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        read_json(tmp_path / "m.json", made_by="validate")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "m.json", {"ap": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with atomic_folder(path) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(path) as folder:
        (folder / "b").write_text("half")
        raise RuntimeError
    assert [entry.name for entry in path.iterdir()] == ["a"]
    with atomic_folder(path) as folder:
        (folder / "c").write_text("new")
    assert [entry.name for entry in path.iterdir()] == ["c"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="cannot be written"), atomic_file(tmp_path / "file" / "x.json") as temporary:
        temporary.write_text("never")
