"""From frames to poses, in order: whole chunks of frames run through detector and network on a few threads.

A chunk is what one thread works on, and batches are filled within it. So the result of a chunk depends on its frames alone: a run that is
resumed at the beginning of a chunk gives the same bits, and no thread waits for another's batch. At most ``workers + 1`` chunks are held,
so memory stays flat and a slow consumer holds the reader back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

import numpy as np

from poseline.codecs.scores import pose_score
from poseline.config.evaluation import NmsConfig
from poseline.core.poses import PoseSet
from poseline.errors import DataError, PoselineError
from poseline.infer.detectors.base import Detections, Detector
from poseline.infer.detectors.file_boxes import FileBoxes
from poseline.infer.estimator import CropBatch, PoseEstimator
from poseline.infer.predict import suppress_poses
from poseline.pose.inputs.base import Image, InputFrame, Source
from poseline.threads import available_cores

CHUNK_FRAMES, IMAGE_CHUNK = 8, 4
CHUNK_BYTES = 48 << 20
"""Pixels of a chunk: large frames come in smaller chunks."""


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """What was found in a frame.

    Attributes:
        frame: which.
        image: its pixels; None where it is broken.
        poses: of the people, without track ids.
        problem: why it is broken.
    """

    frame: InputFrame
    image: Image | None
    poses: PoseSet
    problem: str | None = None


class Timings:
    """Seconds spent in each part, summed over threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    def add(self, part: str, started: float) -> float:
        """Count the time since ``started`` to a part; the time now."""
        now = time.perf_counter()
        with self._lock:
            self.seconds[part] = self.seconds.get(part, 0.0) + now - started
        return now


@dataclass
class PosePipeline:
    """Detector and network at work.

    Attributes:
        detector: finds people, or knows their boxes from a file.
        network: gives poses in boxes.
        nms: what becomes of duplicates.
        region: x1, y1, x2, y2 of the part of each image in which people are looked for; None: everywhere.
        workers: threads that each work on a chunk.
        timings: of all parts.
    """

    detector: Detector | FileBoxes
    network: PoseEstimator
    nms: NmsConfig = field(default_factory=NmsConfig)
    region: tuple[int, int, int, int] | None = None
    workers: int = 1
    timings: Timings = field(default_factory=Timings)

    def run(self, frames: Iterator[InputFrame], *, chunk_frames: int) -> Iterator[PosedFrame]:
        """Every frame, in order, with its poses.

        Raises:
            PoselineError: of the frames, after all those before came; or of detector and network.
        """
        pending: deque[Future[list[PosedFrame]]] = deque()
        chunks = Chunks(frames, chunk_frames, self.timings)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="pose") as pool:
            try:
                for chunk in chunks:
                    pending.append(pool.submit(self.process, chunk))
                    while len(pending) > self.workers or (pending and pending[0].done()):
                        yield from pending.popleft().result()
                while pending:
                    yield from pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
        if chunks.error is not None:
            raise chunks.error

    def process(self, chunk: list[InputFrame]) -> list[PosedFrame]:
        """The poses of a few frames; batches are filled across them."""
        started = time.perf_counter()
        images = [_load(frame) for frame in chunk]
        whole = [row for row, image in enumerate(images) if isinstance(image, np.ndarray)]
        now = self.timings.add("decode", started)
        found = self.detect([images[row] for row in whole], [chunk[row] for row in whole])  # type: ignore[misc]
        self.timings.add("detect", now)
        poses = self.estimate([images[row] for row in whole], found)  # type: ignore[misc]
        by_row = dict(zip(whole, poses, strict=True))
        empty = PoseSet.empty(self.network.skeleton.num_keypoints)
        return [
            PosedFrame(frame, image, by_row[row]) if isinstance(image, np.ndarray) else PosedFrame(frame, None, empty, str(image))
            for row, (frame, image) in enumerate(zip(chunk, images, strict=True))
        ]

    def process_one(self, frame: InputFrame, found: Detections | None) -> PosedFrame:
        """The poses of one frame in the boxes given, or in those that the detector finds."""
        if found is None:
            return self.process([frame])[0]
        image = _load(frame)
        if isinstance(image, str):
            return PosedFrame(frame, None, PoseSet.empty(self.network.skeleton.num_keypoints), image)
        return PosedFrame(frame, image, self.estimate([image], [found])[0])

    def detect(self, images: list[Image], frames: list[InputFrame]) -> list[Detections]:
        """The people of each image, in pixels of the whole image."""
        if isinstance(self.detector, FileBoxes):
            found = [self.detector.lookup(frame.name, frame.frame_index) for frame in frames]
            return found if self.region is None else [inside_region(people, self.region) for people in found]
        views = [image if self.region is None else crop_region(image, self.region) for image in images]
        size = max(1, self.detector.batch_size)
        found = [people for start in range(0, len(views), size) for people in self.detector.detect(views[start : start + size])]
        if self.region is None:
            return found
        shift = np.array(self.region[:2] * 2, dtype=np.float64)
        return [Detections(people.bbox_xyxy + shift, people.scores) for people in found]

    def estimate(self, images: list[Image], found: list[Detections]) -> list[PoseSet]:
        """The poses in the boxes of each image, without duplicates."""
        started = time.perf_counter()
        boxes = [people.bbox_xyxy.astype(np.float32).reshape(-1, 4) for people in found]
        groups: list[CropBatch] = [self.network.cut(image, box) for image, box in zip(images, boxes, strict=True)]
        results = list(self.network.run(groups))
        poses = [
            self._poses(keypoints, scores, box, people.scores)
            for (keypoints, scores), box, people in zip(results, boxes, found, strict=True)
        ]
        self.timings.add("pose", started)
        return poses

    def _poses(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, box_scores: np.ndarray) -> PoseSet:
        box_scores = np.asarray(box_scores, dtype=np.float32)
        poses = PoseSet(
            keypoints=keypoints, keypoint_scores=scores, bbox_xyxy=boxes, bbox_scores=box_scores,
            pose_scores=pose_score(scores, box_scores, self.network.score),
        )  # fmt: skip
        return suppress_poses(poses, self.network.skeleton, self.nms, self.network.score)


class Chunks:
    """Frames in lists of ``size``; an error of their source ends them and is kept.

    Attributes:
        error: that ended the source early.
    """

    def __init__(self, frames: Iterator[InputFrame], size: int, timings: Timings) -> None:
        self.error: PoselineError | None = None
        self._frames, self._size, self._timings = frames, size, timings

    def __iter__(self) -> Iterator[list[InputFrame]]:
        """The lists, none of them empty."""
        while chunk := self._take():
            yield chunk

    def _take(self) -> list[InputFrame]:
        chunk: list[InputFrame] = []
        started = time.perf_counter()
        try:
            for frame in islice(self._frames, 0 if self.error else self._size):
                chunk.append(frame)
        except PoselineError as error:
            self.error = error
        self._timings.add("decode", started)
        return chunk


def chunk_frames(source: Source) -> int:
    """Frames of a chunk: 8 of a video, fewer where they are large; 4 images, whose sizes are not known; 1 where they come live."""
    if source.kind != "video":
        return IMAGE_CHUNK if source.kind == "images" else 1
    return max(1, min(CHUNK_FRAMES, CHUNK_BYTES // max(1, 3 * source.size_wh[0] * source.size_wh[1])))


def worker_count(device: str) -> int:
    """Threads that work on chunks: one a core on a CPU, where each runs single-threaded; one for an accelerator."""
    return max(1, min(8, available_cores())) if device == "cpu" else 1


def inside_region(people: Detections, region: tuple[int, int, int, int]) -> Detections:
    """The people whose boxes have their centres in the region."""
    centres = people.bbox_xyxy.reshape(-1, 2, 2).mean(axis=1)
    inside = ((centres >= region[:2]) & (centres < region[2:])).all(axis=1)
    return Detections(people.bbox_xyxy[inside], people.scores[inside])


def crop_region(image: Image, region: tuple[int, int, int, int]) -> Image:
    """The part of the image.

    Raises:
        DataError: it lies outside the image.
    """
    x1, y1, x2, y2 = region
    part = image[y1:y2, x1:x2]
    if part.size == 0:
        raise DataError(f"--roi: the region {x1},{y1} to {x2},{y2} lies outside an image of {image.shape[1]}x{image.shape[0]}.")
    return np.ascontiguousarray(part)


def _load(frame: InputFrame) -> Image | str:
    """The image, or why there is none."""
    try:
        return frame.load()
    except DataError as error:
        return str(error)
