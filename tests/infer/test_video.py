"""Tracked videos as mp4."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.errors import BackendError, DataError
from poseline.infer.draw import track_style
from poseline.infer.video import draw_tracks, open_writer, write_video

POSE = PoseSet(
    keypoints=np.random.default_rng(0).uniform((40, 30), (90, 110), (1, 17, 2)), keypoint_scores=np.ones((1, 17)),
    bbox_xyxy=np.array([[40, 30, 90, 110]]), track_ids=np.array([4]),
)  # fmt: skip
PICTURES = [np.full((121, 161, 3), 30 * t, np.uint8) for t in range(4)]
SKELETON = load_skeleton("coco17")


def test_a_video_has_every_frame_the_ids_colour_and_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", [POSE] * 4, iter(PICTURES), SKELETON)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    capture, frames = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    assert [frame.shape for frame in frames] == [(122, 162, 3)] * 4
    drawn = draw_tracks(PICTURES[2], POSE, SKELETON)
    assert np.abs(frames[2][:121, :161].astype(int) - drawn).mean() < 6
    tag = drawn[16:29, 42:46].reshape(-1, 3)
    assert (tag == track_style(4).middle).all(axis=1).any()


def test_the_picture_given_is_not_drawn_on() -> None:
    before = PICTURES[0].copy()
    draw_tracks(PICTURES[0], POSE, SKELETON)
    assert np.array_equal(before, PICTURES[0])


def test_pictures_of_two_sizes_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frame 1: image of 100x80, the first has 161x121"):
        write_video(tmp_path / "a.mp4", [POSE] * 2, [PICTURES[0], np.zeros((80, 100, 3), np.uint8)], SKELETON)
    assert not list(tmp_path.iterdir())


def test_a_codec_that_opencv_lacks_is_a_missing_backend(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot write zzzz video"):
        open_writer(tmp_path / "a.mp4", (64, 64), 10.0, codec="zzzz")
