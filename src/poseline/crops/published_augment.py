"""The augmentation that the published AlphaPose networks were trained with, draw for draw.

The same seeds give the same crops and keypoints as the original. ``augment.kind: published`` trains with it.

Reference:
    Fang et al., AlphaPose, TPAMI 2022; the half-body rule is HRNet's (Sun et al., CVPR 2019).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from poseline.config.training import AugmentConfig
from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix, flip_points, warp_points

HALF_BODY_PADDING = 1.5
ROTATION_PROBABILITY = 0.6
BOX_NOISE = ((-0.0142, 0.1158), (0.0043, 0.068), (0.0154, 0.1337), (-0.0013, 0.0711))
"""Mean and deviation of a detector's error on x1, y1, x2, y2, in box sizes (the second training phase)."""


@dataclass
class PublishedDraws:
    """The two random generators of the published code, with the same seed.

    Attributes:
        seed: of both.
        plain: Python's generator.
        array: NumPy's ``RandomState``.
    """

    seed: int
    plain: random.Random = field(init=False)
    array: np.random.RandomState = field(init=False)

    def __post_init__(self) -> None:
        self.plain = random.Random(self.seed)
        self.array = np.random.RandomState(self.seed)


@dataclass(frozen=True)
class PublishedSample:
    """One augmented person.

    Attributes:
        image: uint8 crop [h, w, 3].
        keypoints: [K, 2] crop pixels; an unlabelled one is not mapped (its image pixels, or 0 in a flipped image).
        labelled: [K].
        bbox_xyxy: the crop's extent in the (possibly flipped) image, pixels.
    """

    image: UInt8[np.ndarray, "h w 3"]
    keypoints: Float[np.ndarray, "K 2"]
    labelled: Bool[np.ndarray, " K"]
    bbox_xyxy: Float[np.ndarray, " 4"]


def augment_published(
    image: UInt8[np.ndarray, "H W 3"],
    bbox_xyxy: Float[np.ndarray, " 4"],
    keypoints: Float[np.ndarray, "K 2"],
    labelled: Bool[np.ndarray, " K"],
    *,
    draws: PublishedDraws,
    input_wh: tuple[int, int],
    flip_permutation: Int[np.ndarray, " K"],
    upper_body: tuple[int, ...] = (),
    config: AugmentConfig,
    padding: float,
) -> PublishedSample:
    """One augmented crop of a person with its keypoints.

    Args:
        image: the whole image, uint8 [H, W, 3].
        bbox_xyxy: the person's box, pixels.
        keypoints: image pixels.
        labelled: which of them are labelled.
        draws: consumed in the order of the published code.
        input_wh: the crop's width and height.
        flip_permutation: index array that swaps left and right.
        upper_body: keypoints of the upper half; the others are the lower.
        config: scale (standard deviation of the scale factor, clipped at one), rotation_deg (standard deviation, clipped at two),
            half_body (for people with more than half_body_min_keypoints labelled) and box_noise are used.
        padding: extent of the crop over the box, before scaling.
    """
    image_wh = (image.shape[1], image.shape[0])
    aspect = input_wh[0] / input_wh[1]
    if config.box_noise:
        bbox_xyxy = noise_box(bbox_xyxy, image_wh, draws=draws)
    centres, sizes = pad_to_aspect(np.asarray(bbox_xyxy)[None], aspect, padding)
    centre, size_wh = centres[0], sizes[0]
    if labelled.sum() > config.half_body_min_keypoints and draws.array.rand() < config.half_body:
        half = _half_body(keypoints, labelled, upper_body, aspect=aspect, draws=draws)
        centre, size_wh = half if half is not None else (centre, size_wh)
    size_wh = size_wh * np.clip(draws.array.randn() * config.scale + 1, 1 - config.scale, 1 + config.scale)
    rotation_deg = 0.0
    if draws.plain.random() <= ROTATION_PROBABILITY:
        limit = 2 * config.rotation_deg
        rotation_deg = float(np.clip(draws.array.randn() * config.rotation_deg, -limit, limit))
    if draws.plain.random() > 0.5:
        image = image[:, ::-1]
        keypoints, labelled = (flip_points(keypoints, image_wh[0]) * labelled[:, None])[flip_permutation], labelled[flip_permutation]
        centre = flip_points(centre, image_wh[0])
    matrix = crop_matrix(centre, size_wh, input_wh, rotation_deg=rotation_deg, geometry="published")
    return PublishedSample(
        image=cv2.warpAffine(np.ascontiguousarray(image), matrix, input_wh, flags=cv2.INTER_LINEAR),
        keypoints=np.where(labelled[:, None], warp_points(keypoints, matrix), keypoints).astype(np.float32),
        labelled=labelled,
        bbox_xyxy=np.concatenate([centre - size_wh * 0.5, centre + size_wh * 0.5]),
    )


def noise_box(bbox_xyxy: Float[np.ndarray, " 4"], image_wh: tuple[int, int], *, draws: PublishedDraws) -> Float[np.ndarray, " 4"]:
    """A box with a detector's errors: a part of the ground-truth box (15 of 100), or its sides moved."""
    x1, y1, x2, y2 = (float(side) for side in bbox_xyxy)
    width, height = x2 - x1, y2 - y1
    fraction = draws.plain.uniform(0, 1)
    if fraction > 0.85:
        x1 += draws.plain.uniform(0, 1) * width * (1 - fraction)
        y1 += draws.plain.uniform(0, 1) * height * (1 - fraction)
        return np.array([x1, y1, x1 + width * fraction + 1, y1 + height * fraction + 1])
    move = [draws.array.normal(mean, deviation) for mean, deviation in BOX_NOISE]
    right, bottom = image_wh[0] - 3, image_wh[1] - 3
    x1 = max(1.0, min(x1 + move[0] * width, right))
    y1 = max(1.0, min(y1 + move[1] * height, bottom))
    return np.array([x1, y1, min(max(x1 + 2, x2 + move[2] * width), right), min(max(y1 + 2, y2 + move[3] * height), bottom)])


def _half_body(
    keypoints: Float[np.ndarray, "K 2"],
    labelled: Bool[np.ndarray, " K"],
    upper_body: tuple[int, ...],
    *,
    aspect: float,
    draws: PublishedDraws,
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]] | None:
    """Centre and size of a crop around one half's labelled keypoints; None where too few are labelled."""
    is_upper = np.isin(np.arange(len(keypoints)), upper_body)
    upper, lower = keypoints[is_upper & labelled], keypoints[~is_upper & labelled]
    # A normal draw, as published: the upper half is chosen in 69 of 100.
    wants_upper = draws.array.randn() < 0.5
    chosen = upper if (wants_upper and len(upper) > 2) or len(lower) <= 2 else lower
    if len(chosen) < 2:
        return None
    corners = np.concatenate([chosen.min(axis=0), chosen.max(axis=0)])
    _, sizes = pad_to_aspect(corners[None], aspect, HALF_BODY_PADDING)
    return chosen.mean(axis=0).astype(np.float32), sizes[0]
