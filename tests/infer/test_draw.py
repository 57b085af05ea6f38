from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from poseline.core.geometry import warp_points
from poseline.core.skeletons import load_skeleton
from poseline.infer.draw import (
    PREDICTED,
    crop_to_box,
    draw_label,
    draw_pose,
    fit_width,
    image_uri,
    side_of_keypoints,
    track_hex,
    track_style,
)

COCO = load_skeleton("coco17")


def test_limbs_join_shown_keypoints_in_the_colour_of_their_side() -> None:
    canvas = np.zeros((60, 60, 3), np.uint8)
    points, shown = np.zeros((17, 2), np.float32), np.zeros(17, bool)
    left_elbow, left_wrist = COCO.index("left_elbow"), COCO.index("left_wrist")
    points[left_elbow], points[left_wrist] = (10, 30), (50, 30)
    shown[[left_elbow, left_wrist]] = True
    draw_pose(canvas, points, shown, COCO, PREDICTED)
    assert tuple(canvas[30, 30]) == PREDICTED.left
    assert not canvas[:20].any()
    before = canvas.copy()
    draw_pose(canvas, points, np.zeros(17, bool), COCO, PREDICTED)
    assert (canvas == before).all()


def test_sides_are_those_of_the_flip_pairs() -> None:
    sides = dict(zip(COCO.keypoints, side_of_keypoints(COCO), strict=True))
    assert (sides["nose"], sides["left_wrist"], sides["right_ankle"]) == ("middle", "left", "right")


@pytest.mark.parametrize("box", [(100.0, 50, 140, 150), (-10.0, -10, 20, 60), (300.0, 200, 330, 260)])
def test_a_crop_shows_the_box_and_its_matrix_says_where(box: tuple[float, float, float, float]) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    x, y = int(np.clip((box[0] + box[2]) / 2, 5, 310)), int(np.clip((box[1] + box[3]) / 2, 5, 230))
    cv2.circle(image, (x, y), 4, (255, 0, 0), -1)
    canvas, matrix = crop_to_box(image, np.array(box), (120, 150))
    assert canvas.shape == (150, 120, 3)
    column, row = warp_points(np.array([x, y], dtype=float), matrix)
    assert canvas[round(float(row)), round(float(column)), 0] > 200


def test_a_whole_picture_keeps_its_corners() -> None:
    canvas, matrix = fit_width(np.full((240, 320, 3), 200, np.uint8), 160)
    assert canvas.shape == (120, 160, 3)
    assert warp_points(np.array([[0.0, 0.0], [319.0, 239.0]]), matrix) == pytest.approx(np.array([[0, 0], [159, 119]]), abs=0.6)
    assert (canvas > 190).all()


def test_the_same_id_has_the_same_colour_on_pictures_and_in_the_page() -> None:
    for track_id in (0, 3, 11, 2**40):
        colour = track_style(track_id).left
        assert track_hex(track_id) == "#{:02x}{:02x}{:02x}".format(*colour)
    assert len({track_hex(track_id) for track_id in range(8)}) == 8


def test_labels_stay_inside_and_pictures_survive_the_way_into_the_page() -> None:
    canvas = np.zeros((40, 80, 3), np.uint8)
    draw_label(canvas, "id 12", (500.0, -30.0), (230, 159, 0))
    assert canvas.any()
    prefix, _, data = image_uri(canvas).partition(",")
    assert prefix == "data:image/webp;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == canvas.shape
    assert abs(decoded[..., ::-1].astype(int) - canvas).mean() < 12
