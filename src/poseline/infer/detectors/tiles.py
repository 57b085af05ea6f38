"""A detector over the tiles of large images, in which people are too small for one look at the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from poseline.core.boxes import box_area
from poseline.infer.detectors.base import Detections, Detector
from poseline.infer.detectors.onnx import finish_boxes

CUT_FRACTION = 0.6
"""A box that touches a tile's inner edge goes where another box covers this fraction of it: it is that person, cut off."""


class TiledDetector:
    """Looks at the whole image and at its tiles, and joins what it finds.

    Args:
        detector: looks at the whole and at every tile.
        tile: side of a tile, pixels; smaller images are looked at whole only.
        overlap: fraction of a tile that it shares with the next: a person that fits into it is whole in one of them.
        nms_iou: overlap above which the lower score goes.
    """

    def __init__(self, detector: Detector, tile: int, *, overlap: float = 0.25, nms_iou: float = 0.6) -> None:
        self.detector, self.tile, self.overlap, self.nms_iou = detector, tile, overlap, nms_iou
        self.name, self.batch_size = detector.name, 1

    def detect(self, images: Sequence[UInt8[np.ndarray, "H W 3"]]) -> list[Detections]:
        """The people in each RGB image, best first."""
        return [self._search(image) for image in images]

    def _search(self, image: UInt8[np.ndarray, "H W 3"]) -> Detections:
        height, width = image.shape[:2]
        corners = [(x, y) for y in tile_starts(height, self.tile, self.overlap) for x in tile_starts(width, self.tile, self.overlap)]
        if len(corners) == 1:
            return self.detector.detect([image])[0]
        parts = [image[y : y + self.tile, x : x + self.tile] for x, y in corners]
        looks = [np.ascontiguousarray(part) for part in (image, *parts)]
        found: list[Detections] = []
        for start in range(0, len(looks), self.detector.batch_size):
            found += self.detector.detect(looks[start : start + self.detector.batch_size])
        boxes, scores, cut = [found[0].bbox_xyxy], [found[0].scores], [np.zeros(len(found[0]), bool)]
        for (x, y), part, tile in zip(corners, parts, found[1:], strict=True):
            boxes.append(tile.bbox_xyxy + np.array([x, y, x, y], np.float32))
            scores.append(tile.scores)
            cut.append(is_cut(tile.bbox_xyxy, (x, y), part.shape[1::-1], (width, height)))
        joined, values = np.concatenate(boxes), np.concatenate(scores)
        kept = ~covered(joined, np.concatenate(cut))
        return finish_boxes(joined[kept], values[kept], width, height, nms_iou=self.nms_iou)


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixel of each tile along an axis; the last tile ends with the image.

    >>> tile_starts(1000, 400, 0.25)
    [0, 300, 600]
    """
    if length <= tile:
        return [0]
    count = int(np.ceil((length - tile) / (tile * (1 - overlap)))) + 1
    return [round(start) for start in np.linspace(0, length - tile, count)]


def is_cut(boxes: np.ndarray, corner: tuple[int, int], part_wh: tuple[int, ...], image_wh: tuple[int, int]) -> np.ndarray:
    """Whether each box [N, 4] of a tile touches an edge of the tile that is none of the image."""
    low = np.array([corner[0] > 0, corner[1] > 0])
    high = np.array([corner[0] + part_wh[0] < image_wh[0], corner[1] + part_wh[1] < image_wh[1]])
    touches_low, touches_high = boxes[:, :2] <= 1, boxes[:, 2:] >= np.array(part_wh[:2]) - 1
    return ((touches_low & low) | (touches_high & high)).any(axis=1)


def covered(boxes: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Whether each box [N, 4] is a cut one of which another, larger one covers the most."""
    gone = np.zeros(len(boxes), bool)
    area = box_area(boxes)
    for row in np.flatnonzero(cut):
        span = np.minimum(boxes[row, 2:], boxes[:, 2:]) - np.maximum(boxes[row, :2], boxes[:, :2])
        shared = np.prod(np.maximum(span, 0), axis=1) / max(area[row], 1e-9)
        gone[row] = bool(((shared >= CUT_FRACTION) & (area > area[row])).any())
    return gone
