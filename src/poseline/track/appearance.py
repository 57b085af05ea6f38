"""What people look like: unit vectors from the frame's pixels, so that a dot product compares two people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.config.tracking import AppearanceConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import BackendError
from poseline.project import existing

SAMPLES_PER_EDGE = 8
MIN_SAMPLES = 24
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


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
        BackendError: onnxruntime is not installed or cannot load the network.
    """
    match config.kind:
        case "none":
            return None
        case "colour":
            return LimbColour(skeleton, config.bins)
        case "onnx":
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


class ReidNetwork:
    """A re-identification network in ONNX: RGB crops of the person boxes, ImageNet normalisation, [N, 3, H, W] -> [N, D]."""

    def __init__(self, path: Path) -> None:
        """Load the network on the CPU, one thread: the tracker stays deterministic.

        Raises:
            BackendError: onnxruntime is missing, or the file is not such a network.
        """
        try:
            import onnxruntime
        except ImportError:
            raise BackendError("track.bytepose.appearance: onnxruntime is not installed. Run pip install 'poseline[onnx]'.") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base of their own
            reason = str(error).splitlines()[0]
            raise BackendError(f"{path}: cannot be loaded as an ONNX network ({reason}). Give a re-identification network.") from None
        spec, out = self._session.get_inputs()[0], self._session.get_outputs()[0]
        if len(spec.shape) != 4 or len(out.shape) != 2 or not isinstance(out.shape[1], int):
            raise BackendError(f"{path}: expected [N, 3, H, W] -> [N, D], got {spec.shape} -> {out.shape}. Export it with a fixed D.")
        self._input = spec.name
        self._size = int(out.shape[1])
        height, width = spec.shape[2:]
        self._input_wh = (width if isinstance(width, int) else 128, height if isinstance(height, int) else 256)

    @property
    def size(self) -> int:
        """Length of the network's vector."""
        return self._size

    def encode(self, image: UInt8[np.ndarray, "H W 3"], poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N D"]:
        """Unit vectors of the boxes' crops; zeros where a box lies outside the image."""
        height, width = image.shape[:2]
        corners = np.clip(np.rint(poses.bbox_xyxy), 0, [width, height, width, height]).astype(np.int64)
        vectors = np.zeros((len(poses), self._size))
        rows = np.flatnonzero((corners[:, 2:] - corners[:, :2] >= 2).all(axis=1))
        if not len(rows):
            return vectors
        crops = [cv2.resize(image[y1:y2, x1:x2], self._input_wh) for x1, y1, x2, y2 in corners[rows]]
        batch = (np.stack(crops).astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        out = self._session.run(None, {self._input: np.ascontiguousarray(batch.transpose(0, 3, 1, 2))})[0].astype(np.float64)
        vectors[rows] = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return vectors


def appearance_similarity(a: Float[np.ndarray, "T D"], b: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "T N"]:
    """Cosine of every pair; NaN where one side is unknown (zeros)."""
    cosine = a @ b.T
    cosine[~a.any(axis=1)] = np.nan
    cosine[:, ~b.any(axis=1)] = np.nan
    return np.asarray(cosine)
