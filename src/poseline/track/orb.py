"""ORB feature correspondences between two frames, in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt64

DESCRIPTOR_BYTES = 32
MIN_FEATURES = 3
PAIRS_AT_ONCE = 1 << 16
"""Pairs of descriptors that are compared at once: their distances fit the processor's cache."""


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


def match_orb(
    previous: OrbFeatures, current: OrbFeatures, ratio: float, *, parts: tuple[Bool[np.ndarray, " F"], Bool[np.ndarray, " G"]] | None = None
) -> Float[np.ndarray, "C 4"]:
    """Correspondences (x, y in the previous frame, x, y in this one) that pass the ratio test.

    The nearest two descriptors are found exactly: an approximate search draws random numbers, and two runs would differ.

    Args:
        previous: features of the frame before.
        current: features of this one.
        ratio: the nearest descriptor's distance must be below this fraction of the second's.
        parts: which features of either frame are asked for: correspondences that touch neither part are left out, and mostly not sought.
    """
    if not len(previous) or len(current) < 2:
        return np.zeros((0, 4), dtype=np.float32)
    rows = np.arange(len(previous)) if parts is None else _promising(previous, current, ratio, parts)
    nearest, first, second = nearest_two(previous.descriptors[rows], current.descriptors)
    kept = first < ratio * second
    if parts is not None:
        kept &= parts[0][rows] | parts[1][nearest]
    return np.concatenate([previous.points[rows[kept]], current.points[nearest[kept]]], axis=1)


def _promising(
    previous: OrbFeatures, current: OrbFeatures, ratio: float, parts: tuple[Bool[np.ndarray, " F"], Bool[np.ndarray, " G"]]
) -> Int[np.ndarray, " M"]:
    """The features that start in the first part, or whose correspondence may end in the second.

    It can only where the nearest descriptor of the second part passes the ratio test among that part alone: with all others the second
    nearest is no farther.
    """
    starts, ends = np.flatnonzero(parts[0]), np.flatnonzero(parts[1])
    others = np.flatnonzero(~parts[0])
    if len(ends) > 1:
        _, first, second = nearest_two(previous.descriptors[others], current.descriptors[ends])
        others = others[first < ratio * second]
    return np.sort(np.concatenate([starts, others if len(ends) else others[:0]]))


def nearest_two(
    queries: UInt8[np.ndarray, "F 32"], targets: UInt8[np.ndarray, "G 32"]
) -> tuple[Int[np.ndarray, " F"], Int[np.ndarray, " F"], Int[np.ndarray, " F"]]:
    """The nearest of at least two targets to each query, its Hamming distance, and that of the second nearest."""
    own, others = np.ascontiguousarray(queries).view(np.uint64), np.ascontiguousarray(np.ascontiguousarray(targets).view(np.uint64).T)
    step = max(PAIRS_AT_ONCE // len(targets), 1)
    blocks = [own[start : start + step] for start in range(0, len(own), step)]
    with ThreadPoolExecutor(max(cv2.getNumThreads(), 1)) as pool:
        found = list(pool.map(lambda block: _nearest_two(block, others), blocks))
    nearest, first, second = np.concatenate([np.zeros((3, 0), dtype=np.int64), *found], axis=1)
    return nearest, first, second


def _nearest_two(queries: UInt64[np.ndarray, "F 4"], targets: UInt64[np.ndarray, "4 G"]) -> Int[np.ndarray, "3 F"]:
    """``nearest_two`` of a few queries."""
    shape = (len(queries), targets.shape[1])
    differing, bits, sums = np.empty(shape, dtype=np.uint64), np.empty(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint16)
    for word in range(len(targets)):
        np.bitwise_xor(queries[:, word, None], targets[word], out=differing)
        np.bitwise_count(differing, out=bits)
        np.add(sums, bits, out=sums)
    rows = np.arange(len(queries))
    nearest = sums.argmin(axis=1)
    first = sums[rows, nearest].astype(np.int64)
    sums[rows, nearest] = np.iinfo(np.uint16).max
    return np.stack([nearest, first, sums.min(axis=1).astype(np.int64)])


def person_displacement(boxes: Float[np.ndarray, "N 4"], correspondences: Float[np.ndarray, "C 4"]) -> Float[np.ndarray, "N 2"]:
    """Median displacement of the features that start in each box, pixels; NaN in a box with fewer than three."""
    displacement = np.full((len(boxes), 2), np.nan)
    start, move = correspondences[:, :2], correspondences[:, 2:] - correspondences[:, :2]
    for row, box in enumerate(boxes):
        inside = ((start >= box[:2]) & (start <= box[2:])).all(axis=1)
        if inside.sum() >= MIN_FEATURES:
            displacement[row] = np.median(move[inside], axis=0)
    return displacement
