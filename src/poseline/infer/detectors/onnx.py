"""People found by an ONNX network, by its description."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseline.core.nms import box_nms
from poseline.errors import BackendError
from poseline.infer.detectors.base import Detections
from poseline.infer.detectors.heads import decode_head
from poseline.infer.detectors.spec import DetectorSpec
from poseline.infer.image_input import ImageFeed, find_input, find_outputs, run_batches
from poseline.infer.sessions import open_session

MAX_BATCH = 4
"""Images at once where the file leaves the batch free: more gains nothing on a CPU."""
CANDIDATES = 1000
"""Boxes of the best scores that enter NMS."""


class OnnxDetector:
    """A detector in an ONNX file, run on the CPU.

    Args:
        name: as a user named it.
        path: the file.
        spec: its description.
        min_score: people scored lower are left out.
        runtime: ``onnxruntime``, ``openvino`` or ``auto``.
        threads: that one run may use; None: every core.

    Raises:
        BackendError: the runtime is missing or refuses the file, or the network does not fit its description.
    """

    def __init__(
        self, name: str, path: Path, spec: DetectorSpec, *, min_score: float, runtime: str = "auto", threads: int | None = None
    ) -> None:
        self.name, self.spec, self.min_score = name, spec, min_score
        self.session = open_session(path, runtime=runtime, threads=threads)
        self.port = find_input(self.session, spec.input_name, source=name)
        self.outputs = find_outputs(self.session, spec.output_names, source=name)
        self.feed = ImageFeed(self.port, spec.normalise(), bgr=spec.channel_order == "bgr")
        self.batch_size = self.port.shape[0] or MAX_BATCH
        if spec.size_input is not None and spec.size_input not in [port.name for port in self.session.inputs]:
            raise BackendError(f"{name}: no input '{spec.size_input}'. Fix size_input in its description.")
        self._check()

    def _check(self) -> None:
        """Run one blank image, so that a wrong description is refused at once."""
        width, height = self.spec.input_wh
        try:
            self.detect([np.zeros((height, width, 3), np.uint8)])
        except BackendError:
            raise
        except Exception as error:  # the runtimes raise their own, undocumented types
            reason = " ".join(str(error).split())[:160]
            raise BackendError(f"{self.name}: cannot be run as described, with an input of {width}x{height} ({reason}). "
                               "Fix its description.") from None  # fmt: skip

    def detect(self, images: Sequence[UInt8[np.ndarray, "H W 3"]]) -> list[Detections]:
        """The people in each RGB image, best first."""
        if not images:
            return []
        fitted = [fit_image(image, self.spec) for image in images]
        feeds = {self.port.name: self.feed(np.stack([canvas for canvas, _, _ in fitted]))}
        if self.spec.size_input is not None:
            # Told the image's size it gives pixels of the image, told its own input's size pixels of that.
            own = [image.shape[1::-1] if self.spec.units == "image" else self.spec.input_wh for image in images]
            sizes = np.array(own, np.int64)
            port = next(port for port in self.session.inputs if port.name == self.spec.size_input)
            feeds[port.name] = (sizes if self.spec.size_order == "wh" else sizes[:, ::-1]).astype(port.dtype)
        outputs = run_batches(self.session, feeds, fixed=self.port.shape[0])
        return [
            self._decode([outputs[number][index] for number in self.outputs], images[index], scale, offset)
            for index, (_, scale, offset) in enumerate(fitted)
        ]

    def _decode(self, outputs: list[np.ndarray], image: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> Detections:
        boxes, scores = decode_head(outputs, self.spec, min_score=self.min_score, source=self.name)
        in_input = self.spec.head in ("yolox", "yolo") or self.spec.units != "image"
        if self.spec.head in ("boxes", "table") and self.spec.units == "fraction":
            boxes = boxes * np.tile(np.array(self.spec.input_wh, np.float32), 2)
        if in_input:
            boxes = (boxes - np.tile(offset, 2)) / np.tile(scale, 2)
        return finish_boxes(boxes, scores, image.shape[1], image.shape[0], nms_iou=self.spec.nms_iou)


def fit_image(
    image: UInt8[np.ndarray, "H W 3"], spec: DetectorSpec
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """The image at the network's size, and the factors and offsets (x, y) that take corners of boxes there."""
    height, width = image.shape[:2]
    target = spec.input_wh
    interpolation = cv2.INTER_LINEAR
    if spec.resize == "stretch":
        canvas = cv2.resize(image, target, interpolation=interpolation)
        return canvas, np.array([target[0] / width, target[1] / height], np.float32), np.zeros(2, np.float32)
    ratio = min(target[0] / width, target[1] / height)
    size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
    left, top = ((target[0] - size[0]) // 2, (target[1] - size[1]) // 2) if spec.resize == "letterbox_centre" else (0, 0)
    canvas = np.full((target[1], target[0], 3), spec.fill, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=interpolation)
    return canvas, np.array([ratio, ratio], np.float32), np.array([left, top], np.float32)


def finish_boxes(
    boxes: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"], width: int, height: int, *, nms_iou: float | None
) -> Detections:
    """Boxes inside the image, without duplicates and without empty ones, best first."""
    boxes = np.clip(np.asarray(boxes, np.float32), 0, np.array([width, height, width, height], np.float32))
    valid = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (boxes[:, 2:] - boxes[:, :2] > 0).all(axis=1)
    order = np.flatnonzero(valid)[np.argsort(-scores[valid], kind="stable")][:CANDIDATES]
    boxes, scores = boxes[order], np.clip(np.asarray(scores, np.float32)[order], 0, 1)
    if nms_iou is not None:
        kept = box_nms(boxes, scores, nms_iou)
        boxes, scores = boxes[kept], scores[kept]
    return Detections(boxes, scores)
