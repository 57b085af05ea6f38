"""Appearance embeddings by a re-identification network in an ONNX file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from pydantic import ValidationError

from poseline.config.params import Yaml, describe_validation_error
from poseline.core.poses import PoseSet
from poseline.errors import ArtifactError, BackendError
from poseline.infer.image_input import ImageFeed, ImageInput, find_input, find_outputs, run_batches
from poseline.infer.onnx_spec import find_description
from poseline.infer.sessions import Port, open_session

INPUT_WH = (128, 256)
"""Of networks that take any size, as most are trained."""
IMAGENET: dict[str, Yaml] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""Normalisation of a network whose description names none, as most are trained."""


class ReidNetwork:
    """A re-identification network: crops of the person boxes in, [N, D] out.

    What it takes is said by a description beside or inside the file (the keys of :class:`ImageInput`). Without one: the size of the
    file's input, RGB, ImageNet's normalisation.
    """

    def __init__(self, path: Path) -> None:
        """Load the network on the CPU, one thread: the tracker stays deterministic.

        Raises:
            BackendError: no runtime is installed, or the file is not such a network.
            ArtifactError: no such file, or its description has an unknown key or a wrong value.
        """
        found = find_description(path)
        self._session = open_session(path, threads=1)
        raw, source = found if found is not None else ({}, str(path))
        port = find_input(self._session, str(raw["input_name"]) if raw.get("input_name") else None, source=source)
        self._spec = _read_spec(raw, source, port)
        self._feed = ImageFeed(port, self._spec.normalise(), bgr=self._spec.channel_order == "bgr")
        self._output = find_outputs(self._session, self._spec.output_names, source=source)[0]
        shape = self._session.outputs[self._output].shape
        if len(port.shape) != 4 or len(shape) < 2 or shape[1] is None or any(side != 1 for side in shape[2:]):
            raise BackendError(
                f"{path}: expected [N, 3, H, W] -> [N, D], got {list(port.shape)} -> {list(shape)}. Export it with a fixed D."
            )
        self._size = shape[1]

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
        crops = np.stack([cv2.resize(image[y1:y2, x1:x2], self._spec.input_wh) for x1, y1, x2, y2 in corners[rows]])
        feeds = {self._feed.port.name: self._feed(crops)}
        out = run_batches(self._session, feeds, fixed=self._feed.port.shape[0])[self._output].astype(np.float64).reshape(len(rows), -1)
        vectors[rows] = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        return vectors


def _read_spec(raw: dict[str, Yaml], source: str, port: Port) -> ImageInput:
    """The checked description, completed from the file's input."""
    sides = port.shape[1:3] if port.shape[-1] == 3 else port.shape[2:4]
    height, width = sides if len(sides) == 2 else (None, None)
    known: dict[str, Yaml] = {"input_wh": [width or INPUT_WH[0], height or INPUT_WH[1]]}
    if not raw.keys() & {"mean", "std", "scale"}:
        known |= IMAGENET
    try:
        return ImageInput.model_validate(known | raw)
    except ValidationError as error:
        raise ArtifactError(f"{source}: {describe_validation_error(error)}. Fix the network's description.") from None
