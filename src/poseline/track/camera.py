"""The camera's motion between two frames, from the background: sparse optical flow and a similarity transform."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

MIN_POINTS = 12
MIN_INLIERS = 0.4
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def gray_image(image: UInt8[np.ndarray, "H W 3"], max_width: int) -> UInt8[np.ndarray, "h w"]:
    """The image in grey, at most ``max_width`` pixels wide."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if gray.shape[1] <= max_width:
        return gray
    height = max(round(gray.shape[0] * max_width / gray.shape[1]), 1)
    return cv2.resize(gray, (max_width, height), interpolation=cv2.INTER_AREA)


def camera_motion(
    previous: UInt8[np.ndarray, "h w"],
    current: UInt8[np.ndarray, "h w"],
    *,
    people_xyxy: Float[np.ndarray, "T 4"],
    image_wh: tuple[int, int],
) -> Float[np.ndarray, "2 3"]:
    """The similarity transform from the previous frame's pixels to this one's; identity where the background does not tell.

    Args:
        previous: small grey image of the previous frame.
        current: the same of this frame.
        people_xyxy: boxes in the previous frame, pixels of the full image: no background there.
        image_wh: size of the full image.
    """
    if previous.shape != current.shape or min(current.shape) < 16:
        return IDENTITY.copy()
    height, width = current.shape
    scale = np.array([image_wh[0] / width, image_wh[1] / height])
    points = _background_points(previous, people_xyxy / np.tile(scale, 2))
    if len(points) < MIN_POINTS:
        return IDENTITY.copy()
    shift = coarse_shift(previous, current)
    guess = points + shift.astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, points, guess.copy(), winSize=(15, 15), maxLevel=3, criteria=criteria, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    good = (found.ravel() == 1) & np.isfinite(moved).all(axis=(1, 2))
    if good.sum() < MIN_POINTS:
        return IDENTITY.copy()
    # Pixel centres are integers: a point p of the small image is (p + 0.5) * scale - 0.5 in the full one.
    source, target = ((array[good, 0].astype(np.float64) + 0.5) * scale - 0.5 for array in (points, moved))
    matrix, inliers = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=2.0 * float(scale.max()))
    if matrix is None or inliers.mean() < MIN_INLIERS or not 0.5 < np.sqrt(abs(np.linalg.det(matrix[:, :2]))) < 2.0:
        return IDENTITY.copy()
    return np.asarray(matrix, dtype=np.float64)


def coarse_shift(previous: UInt8[np.ndarray, "h w"], current: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, " 2"]:
    """The whole image's shift by phase correlation, zeros where its peak is weak: a start for jumps that local flow cannot see."""
    step = 2
    half_wh = (previous.shape[1] // step, previous.shape[0] // step)
    a, b = (cv2.resize(gray, half_wh, interpolation=cv2.INTER_AREA).astype(np.float32) for gray in (previous, current))
    window = cv2.createHanningWindow((a.shape[1], a.shape[0]), cv2.CV_32F)
    shift, response = cv2.phaseCorrelate(a, b, window)
    return np.asarray(shift) * step if response > 0.1 else np.zeros(2)


def _background_points(gray: UInt8[np.ndarray, "h w"], people_xyxy: Float[np.ndarray, "T 4"]) -> Float[np.ndarray, "P 1 2"]:
    mask = np.full(gray.shape, 255, dtype=np.uint8)
    height, width = gray.shape
    for x1, y1, x2, y2 in np.clip(np.rint(people_xyxy), 0, [width, height, width, height]).astype(int):
        mask[y1:y2, x1:x2] = 0
    points = cv2.goodFeaturesToTrack(gray, maxCorners=150, qualityLevel=0.01, minDistance=7, mask=mask)
    return np.zeros((0, 1, 2), dtype=np.float32) if points is None else np.asarray(points, dtype=np.float32).reshape(-1, 1, 2)
