"""The Python face: a loaded network and detector as one object that takes images and videos."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from poseline.config.tracking import TrackConfig
from poseline.errors import DataError
from poseline.infer.detectors.base import Detector
from poseline.infer.detectors.build import load_detector
from poseline.infer.networks import load_pose_network
from poseline.models.device import resolve_device
from poseline.pose.inputs.base import Image, InputFrame, Window
from poseline.pose.inputs.images import read_upright
from poseline.pose.inputs.video import VideoSource
from poseline.pose.pipeline import PosePipeline, chunk_frames, worker_count
from poseline.pose.poses import PoseSet
from poseline.pose.tracking import SourceTracker
from poseline.track.files import config_from_overrides

DEFAULT_DETECTOR = "yolox-nano"
AnyImage = np.ndarray | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame of a video with its people.

    Attributes:
        image: RGB.
        frame_index: position in the video, from 0.
        time_ms: since its start.
        poses: with track ids where people are tracked.
    """

    image: Image
    frame_index: int
    time_ms: float | None
    poses: PoseSet


class PosePredictor:
    """Poses of people in images and videos. Made by :func:`load`."""

    def __init__(
        self, model: str, *, detector: str, min_score: float, runtime: str, device: str, batch_size: int, flip: bool
    ) -> None:  # fmt: skip
        self._workers = worker_count(resolve_device(device).type)
        self.network = load_pose_network(model, runtime=runtime, device=device, batch_size=batch_size, flip=flip, threads=1)
        self._detector_name, self._min_score, self._runtime = detector, min_score, runtime

    @cached_property
    def detector(self) -> Detector:
        """The detector, loaded when it is first needed: with boxes given it never is."""
        return load_detector(self._detector_name, min_score=self._min_score, threads=1, runtime=self._runtime)

    @cached_property
    def _pipeline(self) -> PosePipeline:
        return PosePipeline(self.detector, self.network, workers=self._workers)

    def __call__(self, image: AnyImage, boxes: np.ndarray | None = None) -> PoseSet:
        """The people of one image.

        Args:
            image: RGB uint8 [H, W, 3], or the path of an image file.
            boxes: x1, y1, x2, y2 of people, [N, 4]; None: the detector finds them.

        Raises:
            DataError: no such file, or an array that is no image.
            ArtifactError: the detector's weights are not here.
        """
        if boxes is None:
            return self.batch([image])[0]
        corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        found = self.network.estimate(_image(image), corners)
        return PoseSet.of(found, self.network.skeleton)

    def read(self, path: str | os.PathLike[str]) -> Image:
        """An image file as this class reads it: RGB, upright.

        Raises:
            DataError: no such file, or no image.
        """
        return read_upright(Path(path))

    def batch(self, images: Sequence[AnyImage]) -> list[PoseSet]:
        """The people of each image, in order; images of any sizes."""
        frames = (InputFrame(index, None, str(index), partial(_image, image)) for index, image in enumerate(images))
        results = []
        for posed in self._pipeline.run(frames, chunk_frames=4):
            if posed.image is None:
                raise DataError(posed.problem or "broken image")
            results.append(PoseSet.of(posed.poses, self.network.skeleton))
        return results

    def video(
        self, path: str | os.PathLike[str], *, track: str = "bytepose", smooth: Literal["none", "one_euro"] = "none", stride: int = 1
    ) -> Iterator[VideoFrame]:
        """The frames of a video file, one after another, with their people; frames that do not decode are left out.

        Args:
            path: of the file.
            track: the tracker, or ``none``.
            smooth: keypoints along tracks.
            stride: use every so many-th frame.

        Raises:
            DataError: no such file, or no video.
        """
        config: TrackConfig | None = None
        if track != "none":
            config = config_from_overrides([f"track.kind={track}", f"track.smoothing.kind={smooth}"])
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file. Check the path.")
        return self._frames(VideoSource(str(path), Window(stride=stride)), config)

    def _frames(self, source: VideoSource, config: TrackConfig | None) -> Iterator[VideoFrame]:
        skeleton = self.network.skeleton
        tracker = None if config is None else SourceTracker(config, skeleton, frames_per_second=source.frames_per_second)
        for posed in self._pipeline.run(source.read(), chunk_frames=chunk_frames(source)):
            if posed.image is not None:
                index = posed.frame.frame_index
                poses = posed.poses if tracker is None else tracker.update(posed.poses, index, posed.image)
                yield VideoFrame(posed.image, index, posed.frame.time_ms, PoseSet.of(poses, skeleton))


def load(
    model: str | os.PathLike[str], *, detector: str = DEFAULT_DETECTOR, min_score: float = 0.3, runtime: str = "auto",
    device: str = "auto", batch_size: int = 8, flip: bool = False,
) -> PosePredictor:  # fmt: skip
    """A pose network with a detector, ready for images and videos.

    Args:
        model: a model folder (``data/model``), an ONNX file, or a name (`poseline weights list`).
        detector: a name, an ONNX file, or ``whole``: one person a whole image. It is loaded when it is first needed.
        min_score: least score of a box.
        runtime: of ONNX files: auto, onnxruntime or openvino.
        device: of PyTorch networks: auto, cpu, cuda, cuda:N or mps.
        batch_size: crops a forward call.
        flip: average with the mirrored crop: slower, a little better.

    Raises:
        ConfigError: an unknown name.
        ArtifactError: the weights are missing or damaged.
        BackendError: a runtime or device is missing.
    """
    return PosePredictor(
        os.fspath(model), detector=detector, min_score=min_score, runtime=runtime, device=device, batch_size=batch_size, flip=flip
    )


def _image(image: AnyImage) -> Image:
    """An RGB image from an array or a file.

    Raises:
        DataError: neither.
    """
    if not isinstance(image, np.ndarray):
        return read_upright(Path(image))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"expected an RGB image, uint8 [height, width, 3], got {image.dtype} {list(image.shape)}. Convert it first.")
    return image
