"""The people of an image drawn on it: boxes, skeletons, ids and scores, faces blurred where that is asked for."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

from poseline.core.boxes import box_area
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.infer.draw import DARK, PREDICTED, TRACK_COLOURS, Colour, Image, Style, draw_label, draw_pose

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_SIZE_A_PIXEL = 90.0  # a limb is one pixel wide for so many pixels of a person's size
_FACE_OF_BOX = 0.3  # the part of a box, from above, that is blurred where no keypoint says where the face is


def draw_people(
    image: Image, poses: PoseSet, skeleton: Skeleton, *, min_score: float = 0.3, boxes: bool = True, blur_faces: bool = False
) -> Image:
    """A copy of the image with its people, the largest first, so that small ones stay in sight.

    Limbs have a dark rim, so they are seen on any background. A tracked person has one colour, its left side lighter and its right side
    darker; people without ids are orange on their left, blue on their right.

    Args:
        image: RGB.
        poses: of its people.
        skeleton: of the poses.
        min_score: poses and keypoints scored below are not drawn.
        boxes: draw boxes, too.
        blur_faces: of everybody found, also of those who are not drawn.
    """
    canvas = np.ascontiguousarray(image).copy()
    if blur_faces:
        for row in range(len(poses)):
            blur_face(canvas, poses.select(slice(row, row + 1)), skeleton)
    areas = box_area(poses.bbox_xyxy)
    for row in np.argsort(-areas, kind="stable").tolist():
        if poses.pose_scores[row] >= min_score:
            style = person_style(int(poses.track_ids[row]), float(np.sqrt(max(areas[row], 1.0))))
            _draw_person(canvas, poses, row, skeleton, style, min_score=min_score, boxes=boxes)
    return canvas


def _draw_person(
    canvas: Image, poses: PoseSet, row: int, skeleton: Skeleton, style: Style, *, min_score: float, boxes: bool
) -> None:
    shown = (poses.keypoint_scores[row] >= min_score) & (poses.visibility[row] > 0)
    x1, y1, x2, y2 = np.rint(poses.bbox_xyxy[row]).astype(int).tolist()
    if boxes:
        thin = max(1, style.width // 2)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), DARK, thin + 2, cv2.LINE_AA)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), style.middle, thin, cv2.LINE_AA)
    draw_pose(canvas, poses.keypoints[row], shown, skeleton, style)
    track_id, score = int(poses.track_ids[row]), f"{poses.pose_scores[row]:.2f}"
    draw_label(canvas, f"{track_id}  {score}" if track_id > 0 else score, (x1, y1), style.middle, scale=0.36 + 0.06 * style.width)


def person_style(track_id: int, size: float) -> Style:
    """Colours of a person and widths by its size, the root of the box area in pixels."""
    width = int(np.clip(round(size / _SIZE_A_PIXEL), 1, 8))
    if track_id <= 0:
        return replace(PREDICTED, width=width, radius=width + 1)
    colour = TRACK_COLOURS[track_id % len(TRACK_COLOURS)]
    return Style(left=_mix(colour, 255), right=_mix(colour, 0), middle=colour, width=width, radius=width + 1)


def _mix(colour: Colour, other: int) -> Colour:
    red, green, blue = (round(0.55 * value + 0.45 * other) for value in colour)
    return red, green, blue


def blur_face(canvas: Image, person: PoseSet, skeleton: Skeleton) -> None:
    """Blur the face of one person in place, beyond recognition."""
    ellipse = face_ellipse(person.keypoints[0], person.visibility[0] > 0, person.bbox_xyxy[0], skeleton)
    centre, radius = ellipse[:2], ellipse[2:]
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(centre - radius), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(centre + radius) + 1, 0, [width, height]).astype(int)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if part.size == 0:
        return
    # A few coarse cells, then smooth: nothing of a face survives eight cells.
    cells = cv2.resize(part, (4, 4), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cells, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    inside = ((columns - centre[0]) / radius[0]) ** 2 + ((rows - centre[1]) / radius[1]) ** 2 <= 1
    part[inside] = blurred[inside]


def face_ellipse(
    keypoints: Float[np.ndarray, "K 2"], known: Bool[np.ndarray, " K"], bbox_xyxy: Float[np.ndarray, " 4"], skeleton: Skeleton
) -> Float[np.ndarray, " 4"]:
    """Centre x, y and radii of a face: around its keypoints, or in the top of the box where the skeleton has none of them."""
    places = [index for name in FACE if (index := skeleton.index(name)) >= 0 and known[index]]
    box_wh = np.maximum(bbox_xyxy[2:] - bbox_xyxy[:2], 1.0).astype(np.float64)
    if not places:
        head = np.array([box_wh[0] / 2, _FACE_OF_BOX * box_wh[1] / 2])
        return np.concatenate([bbox_xyxy[:2] + head, head])
    points = keypoints[places].astype(np.float64)
    spread = np.ptp(points, axis=0).max()
    # Keypoints in a profile lie close together: a face is never smaller than an eighth of the person.
    radius = max(0.9 * spread, 0.12 * float(np.sqrt(np.prod(box_wh))), 3.0)
    return np.concatenate([(points.min(axis=0) + points.max(axis=0)) / 2, [radius, 1.3 * radius]])
