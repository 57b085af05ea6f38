"""People drawn as the file gives them and as the reading that fits better has them, for the validation report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseline.checks.findings import Drawing
from poseline.checks.readings import Readings, box_readings, keypoint_readings
from poseline.datasets.annotations import Annotations, clean_keypoints
from poseline.datasets.images import read_image
from poseline.errors import DataError

PANEL_PX = 300
RED, GREEN = (220, 40, 40), (30, 170, 60)
Image = UInt8[np.ndarray, "H W 3"]


def draw_readings(annotations: Annotations, found: Readings, *, exchanged: bool) -> list[Drawing]:
    """A drawing for each question that another reading answers better (``exchanged``: left and right); none without images."""
    raw = annotations.raw
    given = np.nan_to_num(np.concatenate([raw.bbox_xyxy[:, :2], raw.bbox_xyxy[:, 2:] - raw.bbox_xyxy[:, :2]], axis=1), posinf=0, neginf=0)
    points, visibility = clean_keypoints(raw.keypoints, raw.visibility)
    sizes = annotations.images.drop_duplicates("image_id").set_index("image_id")[["width", "height"]]
    size_wh = sizes.reindex(raw.image_id).fillna(0).to_numpy(np.float64)
    own = np.nan_to_num(raw.bbox_xyxy, posinf=0, neginf=0)
    drawings = []
    if found.boxes.fits:
        other = box_readings(given)[found.boxes.reading]
        panels = [_draw(annotations, row, [(own[row], RED), (other[row], GREEN)], [(_shown(points, visibility, row), GREEN)])
                  for row in found.boxes.shown]  # fmt: skip
        drawings += _join(annotations, "boxes", f"Red: x, y, width, height. Green: {found.boxes.reading}.", panels)
    if found.keypoints.fits:
        moved = keypoint_readings(points, own, size_wh)[found.keypoints.reading]
        panels = [
            _draw(annotations, row, [(own[row], GREEN)], [(_shown(points, visibility, row), RED), (_shown(moved, visibility, row), GREEN)])
            for row in found.keypoints.shown
        ]
        drawings += _join(annotations, "keypoints", f"Red: x, y in pixels. Green: {found.keypoints.reading}.", panels)
    if exchanged:
        left = np.array([name.startswith("left") for name in annotations.skeleton.keypoints])
        right = np.array([name.startswith("right") for name in annotations.skeleton.keypoints])
        panels = [
            _draw(annotations, row, [], [(_shown(points, visibility * left, row), GREEN), (_shown(points, visibility * right, row), RED)])
            for row in found.sides.shown
        ]
        drawings += _join(annotations, "sides", "Green: what the file calls left. Red: right.", panels)
    return drawings


def _shown(points: Float[np.ndarray, "N K 2"], visibility: np.ndarray, row: int) -> Float[np.ndarray, "P 2"]:
    """A person's labelled keypoints."""
    return points[row, visibility[row] > 0].astype(np.float64)


def _draw(
    annotations: Annotations,
    row: int,
    boxes: Sequence[tuple[Float[np.ndarray, "4"], tuple[int, int, int]]],
    keypoints: Sequence[tuple[Float[np.ndarray, "P 2"], tuple[int, int, int]]],
) -> Image | None:
    """The person's image at a common height with boxes and keypoints; None where it cannot be read."""
    paths = annotations.images.loc[annotations.images["image_id"] == annotations.raw.image_id[row], "image_path"]
    try:
        image = read_image(Path(paths.iloc[0])) if len(paths) else None
    except DataError:
        return None
    if image is None:
        return None
    scale = PANEL_PX / image.shape[0]
    panel = cv2.resize(image, (max(round(image.shape[1] * scale), 1), PANEL_PX), interpolation=cv2.INTER_AREA)
    for box, colour in boxes:
        corners = np.clip(np.round(box * scale), -(10**6), 10**6).astype(int).tolist()
        cv2.rectangle(panel, corners[:2], corners[2:], colour, 2)
    for points, colour in keypoints:
        for x, y in np.clip(np.round(points * scale), -(10**6), 10**6).astype(int).tolist():
            cv2.circle(panel, (x, y), 3, colour, -1)
    return panel


def _join(annotations: Annotations, topic: str, caption: str, panels: Sequence[Image | None]) -> list[Drawing]:
    """The panels side by side as one drawing."""
    known = [panel for panel in panels if panel is not None]
    if not known:
        return []
    _, data = cv2.imencode(".jpg", cv2.cvtColor(np.concatenate(known, axis=1), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return [Drawing(annotations.dataset, annotations.split, topic, caption, data.tobytes())]
