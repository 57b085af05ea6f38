"""Video files, cameras and streams through OpenCV's FFmpeg."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from poseline.errors import BackendError, DataError, PoselineError
from poseline.pose.inputs.base import Image, InputFrame, Source, Window

MAX_DAMAGED = 250
"""Frames on end that do not decode, after which a file counts as read."""
RETRIES = 3
RETRY_WAIT_S = 1.0
OPEN_TIMEOUT_MS = 10_000


class VideoSource(Source):
    """A video file. It is read to its end, whatever its header says; frames keep their own time stamps."""

    def __init__(self, name: str, window: Window) -> None:
        """An opened and probed file.

        Raises:
            DataError: no such file, or no video that can be decoded.
        """
        super().__init__(name, window)
        capture = open_capture(name)
        if not capture.isOpened() or not any(capture.grab() for _ in range(MAX_DAMAGED)):
            size = Path(name).stat().st_size if Path(name).is_file() else 0
            raise DataError(f"{name}: expected an image or a video, got {size} bytes that do not decode as one. Fetch it again.")
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_second = rate if 0 < rate <= 1000 else None
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._promised = int(count) if 0 < count < 1e9 else None
        self.length = window.count(self._promised, self.frames_per_second)
        self.size_wh = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        self._read: int | None = None
        capture.release()

    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """The frames in order."""
        capture = open_capture(self.name)
        try:
            yield from self._frames(capture, skip)
        finally:
            capture.release()

    def _frames(self, capture: cv2.VideoCapture, skip: int) -> Iterator[InputFrame]:
        taken, next_index, frame_index = 0, -1, -1
        for whole, time_ms in self._grab(capture):
            frame_index += 1
            if self.window.passed(frame_index, time_ms):
                return
            if next_index < 0 and self.window.reached(frame_index, time_ms):
                next_index = frame_index
            if frame_index != next_index:
                continue
            next_index += self.window.stride
            taken += 1
            if taken > skip:
                yield grabbed(capture if whole else None, self.name, frame_index, time_ms)
        self._read = frame_index + 1

    def _grab(self, capture: cv2.VideoCapture) -> Iterator[tuple[bool, float | None]]:
        """For each frame whether the capture holds it, and its time; a damaged stretch is over when a later frame comes."""
        clock, frame_index, failed = Clock(self.frames_per_second), -1, 0
        while failed <= MAX_DAMAGED:
            if not capture.grab():
                failed += 1
                continue
            for _ in range(failed):
                frame_index += 1
                yield False, clock.step(frame_index)
            frame_index, failed = frame_index + 1, 0
            yield True, clock.read(capture, frame_index)

    @property
    def missing(self) -> int:
        """Frames that the header promises beyond those that were decoded."""
        return 0 if self._read is None or self._promised is None else max(0, self._promised - self._read)


class BrokenSource(Source):
    """A file among others that is no video: it is said when its turn comes, and the others are read."""

    def __init__(self, name: str, window: Window, error: PoselineError) -> None:
        super().__init__(name, window)
        self.length, self._error = 0, error

    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """Nothing.

        Raises:
            PoselineError: why.
        """
        yield from ()  # raised when frames are asked for, as by other sources
        raise self._error


class LiveSource(Source):
    """A camera or a network stream: frames come once. A stream that breaks is opened again before it counts as dead."""

    kind = "live"

    def __init__(self, name: str, window: Window, address: int | str, *, retries: int = RETRIES, wait_s: float = RETRY_WAIT_S) -> None:
        """A source that is opened when it is read.

        Raises:
            BackendError: the camera or stream is not there.
        """
        super().__init__(name, window)
        self._address, self._retries, self._wait_s = address, retries, wait_s
        self._capture: cv2.VideoCapture | None = self._open()
        if self._capture is None:
            what = "no such camera" if isinstance(address, int) else "the stream cannot be opened"
            raise BackendError(f"{name}: {what}. Check that it is connected and that nothing else uses it.")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_second = rate if 0 < rate <= 1000 else None
        self.length = window.count(None, self.frames_per_second)

    def _open(self) -> cv2.VideoCapture | None:
        capture = open_capture(self._address)
        return capture if capture.isOpened() else None

    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """The frames from now on; ``skip`` counts frames that were seen before, so numbers go on there."""
        started, frame_index, failures = time.monotonic(), skip * self.window.stride - 1, 0
        while failures <= self._retries:
            if self._capture is None:
                time.sleep(self._wait_s)
                self._capture = self._open()
            if self._capture is None or not self._capture.grab():
                if self._capture is not None:
                    self._capture.release()
                self._capture, failures = None, failures + 1
                continue
            failures, frame_index = 0, frame_index + 1
            time_ms = 1000 * (time.monotonic() - started)
            if self.window.passed(frame_index, time_ms):
                self._capture.release()
                return
            if self.window.reached(frame_index, time_ms) and frame_index % self.window.stride == 0:
                yield grabbed(self._capture, self.name, frame_index, round(time_ms, 3))
        raise BackendError(
            f"{self.name}: no more frames after frame {frame_index}, {self._retries} attempts to open it again failed. "
            "All results up to there are kept; check the device or the address."
        )


class Clock:
    """Time stamps of a capture's frames: the container's own, by the frame rate where it has none."""

    def __init__(self, frames_per_second: float | None) -> None:
        self._step_ms = 1000 / frames_per_second if frames_per_second else None
        self._last = -1.0

    def read(self, capture: cv2.VideoCapture, frame_index: int) -> float | None:
        """Milliseconds since the start; they never fall, for a container that jumps back is continued at its rate."""
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC)
        if not np.isfinite(stamp) or stamp < 0 or (frame_index and stamp <= self._last):
            return self.step(frame_index)
        self._last = stamp
        return round(float(stamp), 3)

    def step(self, frame_index: int) -> float | None:
        """The time of a frame that tells none: one step of the frame rate after the last."""
        if self._step_ms is None:
            return None
        self._last = self._last + self._step_ms if frame_index else 0.0
        return round(self._last, 3)


def grabbed(capture: cv2.VideoCapture | None, name: str, frame_index: int, time_ms: float | None) -> InputFrame:
    """The frame just grabbed, None where it was not; its pixels are taken at once, for the capture moves on."""
    done, image = (False, None) if capture is None else capture.retrieve()

    def load() -> Image:
        if not done or image is None:
            raise DataError(f"{name}: frame {frame_index} does not decode")
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)

    return InputFrame(frame_index, time_ms, f"{frame_index}.jpg", load)


def open_capture(address: int | str) -> cv2.VideoCapture:
    """A capture that applies the container's rotation; it may not have opened.

    OpenCV and FFmpeg keep silent: what is wrong with a file is said once, by us.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first file is opened
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if isinstance(address, int):
        return cv2.VideoCapture(address)
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPEN_TIMEOUT_MS]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
