"""What people look like: unit vectors from the frame's pixels, so that a dot product compares two people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.config.tracking import AppearanceConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.project import existing

SAMPLES_PER_EDGE = 8
MIN_SAMPLES = 24


@runtime_checkable
class AppearanceEncoder(Protocol):
    """Turns people of an image into unit vectors."""

    @property
    def size(self) -> int:
        """Length D of a vector."""
        ...

    def encode(self, image: UInt8[np.ndarray, "H W 3"], poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N D"]:
        """Unit vectors, float64; a row of zeros where too few pixels of a person can be read."""
        ...


def build_encoder(config: AppearanceConfig, skeleton: Skeleton) -> AppearanceEncoder | None:
    """The configured encoder, None for ``kind: none``.

    Raises:
        BackendError: no runtime is installed, or it cannot load the network.
        ArtifactError: the network's file or description is missing or wrong.
    """
    match config.kind:
        case "none":
            return None
        case "colour":
            return LimbColour(skeleton, config.bins)
        case "onnx":
            from poseline.track.reid import ReidNetwork  # loads what runs networks, which the others do without

            return ReidNetwork(existing(str(config.onnx), key="track.bytepose.appearance.onnx"))


@dataclass(frozen=True)
class LimbColour:
    """Histograms of the colours along the limbs, one for the upper and one for the lower body.

    Pixels are read on the lines between keypoints that score high enough, so background and the neighbour in the same box hardly count.
    The vector is the root of the histogram: a dot product is then the Bhattacharyya coefficient.
    """

    skeleton: Skeleton
    bins: int

    @property
    def size(self) -> int:
        """Two histograms of bins x bins chroma cells with three levels of brightness."""
        return 2 * 3 * self.bins**2

    def encode(self, image: UInt8[np.ndarray, "H W 3"], poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N D"]:
        """Unit vectors; zeros where fewer than 24 pixels could be read."""
        edges = np.asarray(self.skeleton.edges, dtype=np.int64).reshape(-1, 2)
        if not len(poses) or not len(edges):
            return np.zeros((len(poses), self.size))
        along = ((np.arange(SAMPLES_PER_EDGE) + 0.5) / SAMPLES_PER_EDGE)[:, None]
        start, end = poses.keypoints[:, edges[:, 0], None], poses.keypoints[:, edges[:, 1], None]
        points = np.rint(start + along * (end - start)).astype(np.int64)  # [N, E, S, 2]
        usable = (seen[:, edges[:, 0]] & seen[:, edges[:, 1]])[:, :, None]
        height, width = image.shape[:2]
        inside = usable & (points >= 0).all(axis=-1) & (points[..., 0] < width) & (points[..., 1] < height)
        person, edge, _ = np.nonzero(inside)
        colours = image[points[..., 1][inside], points[..., 0][inside]].astype(np.int64)
        cell = self._cells(colours) + self._lower(edges)[edge] * (self.size // 2)
        histogram = np.bincount(person * self.size + cell, minlength=len(poses) * self.size).reshape(len(poses), self.size)
        total = histogram.sum(axis=1, keepdims=True)
        return np.where(total >= MIN_SAMPLES, np.sqrt(histogram / np.maximum(total, 1)), 0.0)

    def _cells(self, rgb: np.ndarray) -> np.ndarray:
        """Cell of each pixel: opponent colours (red against green, yellow against blue) and brightness."""
        red, green, blue = rgb[:, 0], rgb[:, 1], rgb[:, 2]
        # Chroma of everyday images fills about half of its range: the bins cover that half.
        first = np.clip((red - green + 128) * self.bins // 256, 0, self.bins - 1)
        second = np.clip(((red + green) // 2 - blue + 128) * self.bins // 256, 0, self.bins - 1)
        return np.asarray(((red + green + blue) // 256) * self.bins**2 + first * self.bins + second)

    def _lower(self, edges: np.ndarray) -> np.ndarray:
        lower = set(self.skeleton.groups.get("lower", ()))
        return np.array([int(a in lower and b in lower) for a, b in edges])


def appearance_similarity(a: Float[np.ndarray, "T D"], b: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "T N"]:
    """Cosine of every pair; NaN where one side is unknown (zeros)."""
    cosine = a @ b.T
    cosine[~a.any(axis=1)] = np.nan
    cosine[:, ~b.any(axis=1)] = np.nan
    return np.asarray(cosine)
