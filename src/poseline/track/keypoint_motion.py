"""Where each keypoint of the previous frame went, from the images: sparse or dense optical flow."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.track.camera import coarse_shift


def keypoint_displacement(
    previous: UInt8[np.ndarray, "h w"],
    current: UInt8[np.ndarray, "h w"],
    keypoints: Float[np.ndarray, "N K 2"],
    seen: Bool[np.ndarray, "N K"],
    *,
    kind: Literal["lk", "dis"],
    image_width: int,
) -> Float[np.ndarray, "N K 2"]:
    """Displacement of each keypoint in pixels of the full image; a keypoint that was lost moves with its person, NaN where all were.

    Args:
        previous: grey image of the previous frame, from :func:`poseline.track.camera.gray_image`.
        current: the same of this frame.
        keypoints: the previous frame's, pixels of the full image.
        seen: which of them score high enough.
        kind: pyramidal Lucas-Kanade at the keypoints, or dense inverse search.
        image_width: of the full image.
    """
    displacement = np.full(keypoints.shape, np.nan)
    if previous.shape != current.shape or not seen.any():
        return displacement
    scale = image_width / current.shape[1]
    points = ((keypoints[seen] + 0.5) / scale - 0.5).astype(np.float32)
    shift = coarse_shift(previous, current).astype(np.float32) if min(current.shape) >= 16 else np.zeros(2, dtype=np.float32)
    flow = (_sparse_flow if kind == "lk" else _dense_flow)(previous, current, points, shift)
    displacement[seen] = flow * scale
    return _fill_by_person(displacement)


def _sparse_flow(
    previous: UInt8[np.ndarray, "h w"], current: UInt8[np.ndarray, "h w"], points: Float[np.ndarray, "P 2"], shift: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "P 2"]:
    """Displacement of each point, searched around the whole image's shift; NaN where the point was lost."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)
    guess = points[:, None] + shift
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, points[:, None], guess, winSize=(21, 21), maxLevel=3, criteria=criteria, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    flow = (moved[:, 0] - points).astype(np.float64)
    flow[found.ravel() == 0] = np.nan
    return np.asarray(flow)


def _dense_flow(
    previous: UInt8[np.ndarray, "h w"], current: UInt8[np.ndarray, "h w"], points: Float[np.ndarray, "P 2"], shift: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "P 2"]:
    """Displacement of each point by dense inverse search on half the size; NaN outside the image."""
    half_wh = (current.shape[1] // 2, current.shape[0] // 2)
    small = [cv2.resize(gray, half_wh, interpolation=cv2.INTER_AREA) for gray in (previous, current)]
    # Each image is searched where the whole-image shift leads: the second is moved back by it first.
    whole = np.rint(shift / 2)
    back = np.array([[1, 0, whole[0]], [0, 1, whole[1]]], dtype=np.float64)
    moved_back = cv2.warpAffine(small[1], back, half_wh, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    field = search.calc(small[0], moved_back, np.zeros((*small[0].shape, 2), dtype=np.float32))
    x, y = np.rint((points + 0.5) / 2 - 0.5).astype(np.int64).T
    inside = (x >= 0) & (x < half_wh[0]) & (y >= 0) & (y < half_wh[1])
    flow = np.full(points.shape, np.nan)
    flow[inside] = (field[y[inside], x[inside]] + whole) * 2
    return flow


def _fill_by_person(displacement: Float[np.ndarray, "N K 2"]) -> Float[np.ndarray, "N K 2"]:
    """Lost keypoints take the median displacement of their person."""
    filled = displacement.copy()
    for person in np.flatnonzero(np.isnan(displacement).any(axis=(1, 2)) & ~np.isnan(displacement).all(axis=(1, 2))):
        lost = np.isnan(displacement[person]).any(axis=1)
        filled[person, lost] = np.median(displacement[person, ~lost], axis=0) if (~lost).any() else np.nan
    return filled
