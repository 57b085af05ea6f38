"""MOT Challenge text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseline.datasets.mot.files import read_mot, read_mot_folder
from poseline.errors import DataError


def test_lines_are_sorted_by_frame_and_boxes_become_corners(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2,1,5,6,10,20,0.5,-1,-1,-1\n1, 3, 1, 2, 3, 4\n\n1 1 0 0 1 1 1\n")
    tracks = read_mot(tmp_path / "a.txt")
    assert tracks.frames.tolist() == [1, 1, 2]
    assert tracks.track_ids.tolist() == [3, 1, 1]
    assert tracks.bbox_xyxy[2].tolist() == [5, 6, 15, 26]
    assert tracks.confidence.tolist() == [1.0, 1.0, 0.5]
    assert tracks.frame(2).track_ids.tolist() == [1]
    assert len(tracks.frame(9).frames) == 0


@pytest.mark.parametrize(("text", "message"), [
    ("1,2,3\n", "line 1: 3 columns"),
    ("1,2,3,4,5,6\nx,2,3,4,5,6\n", "line 2: not numbers"),
    ("0,2,3,4,5,6\n", "frame from 1"),
    ("1,2,nan,4,5,6\n", "finite"),
    ("1,2,3,4,5,6\n1,2,9,9,5,6\n", "track id 2 occurs twice in frame 1"),
])  # fmt: skip
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_mot(tmp_path / "a.txt")


def test_an_empty_result_is_a_video_without_boxes_and_a_missing_one_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither"):
        read_mot_folder(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_mot(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("")
    assert read_mot_folder(tmp_path)["a"].num_frames == 0
