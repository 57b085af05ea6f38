"""Frames of bright squares that stand for people, and a detector and a network that find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from poseline.core.skeletons import load_skeleton
from poseline.infer.detectors.base import Detections
from poseline.infer.estimator import CropBatch, PoseEstimator

SIZE_WH = (160, 96)


def draw_frame(t: int, people: Sequence[tuple[int, int, int, int]] = ((5, 10, 2, 0), (100, 40, -1, 1))) -> np.ndarray:
    """RGB frame ``t``: a square a person, which starts at (x, y) and moves by (dx, dy)."""
    image = np.full((SIZE_WH[1], SIZE_WH[0], 3), 20, np.uint8)
    for number, (x, y, dx, dy) in enumerate(people):
        left, top = x + dx * t, y + dy * t
        image[max(top, 0) : top + 30, max(left, 0) : left + 20] = [(255, 60, 60), (60, 255, 60), (60, 60, 255)][number % 3]
    return image


class SquareDetector:
    """Finds bright squares."""

    name, batch_size = "squares", 2

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        assert len(images) <= self.batch_size
        return [self._squares(image) for image in images]

    def _squares(self, image: np.ndarray) -> Detections:
        count, _, stats, _ = cv2.connectedComponentsWithStats((image.max(axis=2) > 120).astype(np.uint8))
        boxes = [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:count].tolist() if area > 30]
        return Detections(np.array(sorted(boxes), dtype=np.float64).reshape(-1, 4), np.full(len(boxes), 0.9))


class SquareNetwork(PoseEstimator):
    """Keypoints stand on a grid in each box, whatever is in it."""

    def __init__(self) -> None:
        self.skeleton, self.score, self.batch_size = load_skeleton("coco17"), "mean", 8

    def cut(self, image: np.ndarray, bbox_xyxy: np.ndarray) -> CropBatch:
        back = np.zeros((len(bbox_xyxy), 2, 3))
        back[:, :, 2] = bbox_xyxy[:, :2]
        back[:, [0, 1], [0, 1]] = bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]
        return CropBatch(np.zeros((len(bbox_xyxy), 2, 2, 3), np.uint8), back)

    def run(self, groups: Iterable[CropBatch]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        steps = np.linspace(0.1, 0.9, 17)
        points = np.stack([(7 * steps) % 1, steps, np.ones(17)], axis=1)
        for group in groups:
            yield points @ group.to_image.transpose(0, 2, 1), np.tile(steps * 0.5 + 0.5, (len(group.crops), 1))
