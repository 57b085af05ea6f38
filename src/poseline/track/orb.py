"""ORB feature correspondences between two frames, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

DESCRIPTOR_BYTES = 32
MIN_FEATURES = 3
ROWS_AT_ONCE = 512
"""Descriptors that are compared in one product."""


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
    nearest, first, second = nearest_two(previous.descriptors, current.descriptors)
    kept = np.flatnonzero(first < ratio * second)
    return np.concatenate([previous.points[kept], current.points[nearest[kept]]], axis=1)


def nearest_two(
    queries: UInt8[np.ndarray, "F 32"], targets: UInt8[np.ndarray, "G 32"]
) -> tuple[Int[np.ndarray, " F"], Float[np.ndarray, " F"], Float[np.ndarray, " F"]]:
    """The nearest of at least two targets to each query, its Hamming distance, and that of the second nearest.

    The number of bits that two descriptors share is a product of matrices: several times as fast as a search one by one, and exact,
    as 256 fits into float32.
    """
    bits = np.ascontiguousarray(np.unpackbits(targets, axis=1).astype(np.float32).T)
    set_bits = bits.sum(axis=0)
    nearest = np.empty(len(queries), dtype=np.int64)
    first, second = np.empty(len(queries), dtype=np.float32), np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        own = np.unpackbits(queries[rows], axis=1).astype(np.float32)
        distance = set_bits - (2 * own) @ bits
        place = np.arange(len(own))
        nearest[rows] = distance.argmin(axis=1)
        first[rows] = distance[place, nearest[rows]] + own.sum(axis=1)
        distance[place, nearest[rows]] = np.inf
        second[rows] = distance.min(axis=1) + own.sum(axis=1)
    return nearest, first.astype(np.float64), second.astype(np.float64)


def person_displacement(boxes: Float[np.ndarray, "N 4"], correspondences: Float[np.ndarray, "C 4"]) -> Float[np.ndarray, "N 2"]:
    """Median displacement of the features that start in each box, pixels; NaN in a box with fewer than three."""
    displacement = np.full((len(boxes), 2), np.nan)
    start, move = correspondences[:, :2], correspondences[:, 2:] - correspondences[:, :2]
    for row, box in enumerate(boxes):
        inside = ((start >= box[:2]) & (start <= box[2:])).all(axis=1)
        if inside.sum() >= MIN_FEATURES:
            displacement[row] = np.median(move[inside], axis=0)
    return displacement
