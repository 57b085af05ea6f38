"""Training augmentation: one affine map (scale, rotation, shift, half body, flip), then photometric changes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseline.config.training import AugmentConfig
from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix, warp_points
from poseline.core.skeletons import Skeleton


@dataclass(frozen=True)
class CropSample:
    """One crop with its person.

    Attributes:
        image: uint8 [h, w, 3] RGB.
        keypoints: [K, 2] pixels of the crop.
        visibility: [K] of 0, 1, 2.
    """

    image: UInt8[np.ndarray, "h w 3"]
    keypoints: Float[np.ndarray, "K 2"]
    visibility: UInt8[np.ndarray, " K"]


def centred_matrix(stored_wh: tuple[int, int], input_wh: tuple[int, int], extent: float) -> Float[np.ndarray, "2 3"]:
    """The map from a stored crop to the network's input without augmentation; ``extent`` is the fraction of the crop that is shown."""
    centre = (np.asarray(stored_wh, dtype=np.float64) - 1) / 2
    return crop_matrix(centre, (np.asarray(stored_wh) - 1) * extent, input_wh)


def draw_matrix(
    rng: np.random.Generator,
    sample: CropSample,
    config: AugmentConfig,
    skeleton: Skeleton,
    *,
    input_wh: tuple[int, int],
    extent: float,
) -> tuple[Float[np.ndarray, "2 3"], bool]:
    """A random map from the stored crop to the input, and whether it flips."""
    stored = np.array([sample.image.shape[1], sample.image.shape[0]], dtype=np.float64)
    centre, size = (stored - 1) / 2, (stored - 1) * extent
    if rng.random() < config.half_body:
        centre, size = _half_body(rng, sample, config, skeleton, default=(centre, size), aspect=input_wh[0] / input_wh[1])
    size = size * np.clip(1 + rng.normal() * config.scale, 1 - config.scale, 1 + config.scale)
    centre = centre + rng.normal(size=2) * config.translation * size
    angle = rng.normal() * config.rotation_deg
    rotates = rng.random() < config.rotation_probability
    rotation = float(np.clip(angle, -2 * config.rotation_deg, 2 * config.rotation_deg)) if rotates else 0.0
    matrix = crop_matrix(centre, size, input_wh, rotation_deg=rotation)
    flipped = bool(rng.random() < config.flip)
    if flipped:
        matrix = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ matrix
        matrix[0, 2] += input_wh[0] - 1
    return matrix, flipped


def _half_body(
    rng: np.random.Generator,
    sample: CropSample,
    config: AugmentConfig,
    skeleton: Skeleton,
    *,
    default: tuple[np.ndarray, np.ndarray],
    aspect: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Centre and size around one half's labelled keypoints; ``default`` where too few are labelled."""
    labelled = sample.visibility > 0
    if labelled.sum() <= config.half_body_min_keypoints:
        return default
    upper = np.zeros(len(labelled), dtype=bool)
    upper[list(skeleton.groups.get("upper", ()))] = True
    chosen = labelled & (upper if rng.random() < 0.6 else ~upper)
    if chosen.sum() < 3:
        return default
    points = sample.keypoints[chosen]
    box = np.concatenate([points.min(0), points.max(0)])[None]
    centre, size = pad_to_aspect(box, aspect, 1.5)
    return centre[0].astype(np.float64), np.maximum(size[0].astype(np.float64), 8.0)


def apply_matrix(
    sample: CropSample, matrix: Float[np.ndarray, "2 3"], flipped: bool, skeleton: Skeleton, input_wh: tuple[int, int]
) -> CropSample:
    """The sample under the map, at the network's input size; a flip swaps left and right keypoints."""
    image = cv2.warpAffine(sample.image, matrix, input_wh, flags=cv2.INTER_LINEAR)
    keypoints, visibility = warp_points(sample.keypoints, matrix), sample.visibility
    if flipped:
        keypoints, visibility = keypoints[skeleton.flip_permutation], visibility[skeleton.flip_permutation]
    return CropSample(image, keypoints, visibility)


def jitter_colour(rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"], config: AugmentConfig) -> UInt8[np.ndarray, "h w 3"]:
    """The image with random brightness, contrast and channel gains, as one table lookup per channel."""
    contrast = 1 + config.contrast * rng.uniform(-1, 1)
    brightness = 255 * config.brightness * rng.uniform(-1, 1)
    gains = 1 + config.colour * rng.uniform(-1, 1, size=3)
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = ((levels - 128) * contrast + 128 + brightness) * gains
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[:, None, :])


def erase_rectangle(rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A copy with one random rectangle (a tenth to a third of each side) replaced by noise, like an occluder."""
    height, width = image.shape[:2]
    h, w = int(rng.uniform(0.1, 0.33) * height), int(rng.uniform(0.1, 0.33) * width)
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    erased = image.copy()
    erased[top : top + h, left : left + w] = rng.integers(0, 256, size=(h, w, 3), dtype=np.uint8)
    return erased


def augment_sample(
    rng: np.random.Generator,
    sample: CropSample,
    config: AugmentConfig,
    skeleton: Skeleton,
    *,
    input_wh: tuple[int, int],
    extent: float,
) -> CropSample:
    """The randomly augmented sample at the network's input size."""
    matrix, flipped = draw_matrix(rng, sample, config, skeleton, input_wh=input_wh, extent=extent)
    changed = apply_matrix(sample, matrix, flipped, skeleton, input_wh)
    image = jitter_colour(rng, changed.image, config)
    if rng.random() < config.erase:
        image = erase_rectangle(rng, image)
    return CropSample(image, changed.keypoints, changed.visibility)
