"""ORB feature correspondences between two frames, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

DESCRIPTOR_BYTES = 32
MIN_FEATURES = 3


@dataclass(frozen=True)
class OrbFeatures:
    """F features of one frame: ``points`` float32 [F, 2] in pixels, ``descriptors`` uint8 [F, 32]."""

    points: Float[np.ndarray, "F 2"]
    descriptors: UInt8[np.ndarray, "F 32"]

    def __len__(self) -> int:
        """Number of features, F."""
        return len(self.points)

    def within(self, boxes: Float[np.ndarray, "N 4"]) -> OrbFeatures:
        """The features that lie in any of the boxes (x1, y1, x2, y2), border included."""
        after, before = self.points[:, None] >= boxes[None, :, :2], self.points[:, None] <= boxes[None, :, 2:]
        rows = np.flatnonzero(np.any(np.all(after & before, axis=2), axis=1))
        return OrbFeatures(self.points[rows], self.descriptors[rows])


NO_FEATURES = OrbFeatures(np.zeros((0, 2), dtype=np.float32), np.zeros((0, DESCRIPTOR_BYTES), dtype=np.uint8))


def detect_orb(image: UInt8[np.ndarray, "H W 3"], max_features: int) -> OrbFeatures:
    """The image's ORB features with the FAST score."""
    orb = cv2.ORB.create(nfeatures=max_features, scoreType=cv2.ORB_FAST_SCORE)
    points, descriptors = orb.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
    if descriptors is None:
        return NO_FEATURES
    return OrbFeatures(np.array([point.pt for point in points], dtype=np.float32).reshape(-1, 2), descriptors)


def match_orb(previous: OrbFeatures, current: OrbFeatures, ratio: float) -> Float[np.ndarray, "C 4"]:
    """Correspondences (x, y in the previous frame, x, y in this one) that pass the ratio test.

    The nearest two descriptors are found exactly: an approximate search draws random numbers, and two runs would differ.
    """
    if not len(previous) or len(current) < 2:
        return np.zeros((0, 4), dtype=np.float32)
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(previous.descriptors, current.descriptors, k=2)
    kept = [(first.queryIdx, first.trainIdx) for first, second in pairs if first.distance < ratio * second.distance]
    index = np.array(kept, dtype=np.int64).reshape(-1, 2)
    return np.concatenate([previous.points[index[:, 0]], current.points[index[:, 1]]], axis=1)


def person_displacement(boxes: Float[np.ndarray, "N 4"], correspondences: Float[np.ndarray, "C 4"]) -> Float[np.ndarray, "N 2"]:
    """Median displacement of the features that start in each box, pixels; NaN in a box with fewer than three."""
    displacement = np.full((len(boxes), 2), np.nan)
    start, move = correspondences[:, :2], correspondences[:, 2:] - correspondences[:, :2]
    for row, box in enumerate(boxes):
        inside = ((start >= box[:2]) & (start <= box[2:])).all(axis=1)
        if inside.sum() >= MIN_FEATURES:
            displacement[row] = np.median(move[inside], axis=0)
    return displacement
