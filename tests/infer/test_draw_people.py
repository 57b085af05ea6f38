"""People drawn on images: legible anywhere, sized by the person, faces gone where that is asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.errors import BackendError, DataError
from poseline.infer.draw_people import draw_people, face_ellipse, person_style
from poseline.infer.video_files import H264Video, OpenCvVideo, has_h264

SKELETON = load_skeleton("coco17")


def person(scale: float = 1.0, *, track_id: int = 3, score: float = 0.9) -> PoseSet:
    """Someone who stands, 100 x 200 pixels at scale 1."""
    x = np.array([50, 54, 46, 58, 42, 70, 30, 80, 20, 85, 15, 62, 38, 62, 38, 62, 38], dtype=float)
    y = np.array([30, 25, 25, 28, 28, 55, 55, 85, 85, 110, 110, 110, 110, 150, 150, 190, 190], dtype=float)
    keypoints = scale * np.stack([x, y], axis=1)[None] + 20
    return PoseSet(
        keypoints=keypoints, keypoint_scores=np.full((1, 17), score), bbox_xyxy=20 + scale * np.array([[5, 5, 95, 200]]),
        pose_scores=np.array([score]), track_ids=np.array([track_id]),
    )  # fmt: skip


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), *[person_style(3, 100).middle]])
def test_a_person_is_seen_on_any_background(background: tuple[int, int, int]) -> None:
    image = np.full((260, 160, 3), background, np.uint8)
    drawn = draw_people(image, person(), SKELETON)
    contrast = np.abs(drawn.astype(int) - image).max(axis=2)
    for a, b in SKELETON.edges:
        middle = person().keypoints[0, [a, b]].mean(axis=0).round().astype(int)
        assert contrast[middle[1] - 4 : middle[1] + 5, middle[0] - 4 : middle[0] + 5].max() > 80


def test_left_and_right_differ_and_tracks_do() -> None:
    for track_id in (-1, 1, 2, 3):
        style = person_style(track_id, 100)
        assert np.abs(np.subtract(style.left, style.right)).max() > 80
    assert person_style(1, 100).middle != person_style(2, 100).middle
    assert person_style(1, 100) == person_style(1, 100)


def test_larger_people_have_thicker_limbs() -> None:
    widths = [person_style(1, size).width for size in (20, 200, 400, 5000)]
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[-1] <= 8


def test_people_of_low_score_are_left_out_but_their_faces_are_blurred() -> None:
    image = np.random.default_rng(0).integers(0, 255, (260, 160, 3), dtype=np.uint8)
    unsure = person(score=0.1)
    assert np.array_equal(draw_people(image, unsure, SKELETON), image)
    blurred = draw_people(image, unsure, SKELETON, blur_faces=True)
    x, y = unsure.keypoints[0, 0].astype(int)
    face = blurred[y - 8 : y + 8, x - 8 : x + 8]
    assert face.std() < image.std() / 4
    changed = (blurred != image).any(axis=2)
    assert changed[y, x]
    assert not changed[150:].any()


def test_a_face_is_found_without_its_keypoints() -> None:
    one = person()
    hidden = np.ones(17, dtype=bool)
    hidden[:5] = False
    x, y, radius_x, radius_y = face_ellipse(one.keypoints[0], hidden, one.bbox_xyxy[0], SKELETON)
    for k in range(5):
        assert ((one.keypoints[0, k, 0] - x) / radius_x) ** 2 + ((one.keypoints[0, k, 1] - y) / radius_y) ** 2 < 1


def test_a_face_at_the_edge_is_no_error() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    draw_people(image, person(0.3, track_id=-1), SKELETON, blur_faces=True)
    far = PoseSet(keypoints=np.full((1, 17, 2), -500), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[-600, -600, -500, -500]]))
    draw_people(image, far, SKELETON, blur_faces=True)


FRAMES = [np.full((61, 81, 3), 20 * t, np.uint8) for t in range(8)]


def test_opencv_writes_every_frame(tmp_path: Path) -> None:
    video = OpenCvVideo(tmp_path / "a.mp4", FRAMES[0], 10)
    for t, image in enumerate(FRAMES):
        video.write(image, 100 * t)
    with pytest.raises(DataError, match="a frame of 10x10, the first has 81x61"):
        video.write(np.zeros((10, 10, 3), np.uint8), 900)
    video.close()
    assert read_times(tmp_path / "a.mp4") == pytest.approx([100 * t for t in range(8)])


def test_h264_keeps_time_stamps(tmp_path: Path) -> None:
    if not has_h264():
        with pytest.raises(BackendError, match=r"needs PyAV, which is not installed. Run `pip install 'poseline\[video\]'`"):
            H264Video(tmp_path / "a.mp4", FRAMES[0], 10)
        return
    times = [0, 40, 80, 200, 240, 500, 900, 940]
    video = H264Video(tmp_path / "a.mp4", FRAMES[0], 25)
    for image, time_ms in zip(FRAMES, times, strict=True):
        video.write(image, time_ms)
    video.close()
    assert read_times(tmp_path / "a.mp4") == pytest.approx(times, abs=1)
    fourcc = int(cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert fourcc in (b"h264", b"avc1")


def read_times(path: Path) -> list[float]:
    capture, times = cv2.VideoCapture(str(path)), []
    while capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    return times
