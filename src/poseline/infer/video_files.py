"""Frames into video files: H.264 through PyAV where it is installed, MPEG-4 through OpenCV where it is not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from poseline.errors import BackendError, DataError
from poseline.infer.draw import Image
from poseline.infer.video import open_writer

TIME_BASE = Fraction(1, 90_000)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".3gp", ".ogv", ".gif"}
)
"""Endings, in lower case, of files that are read as videos."""


def has_h264() -> bool:
    """Whether the package that writes H.264 is installed."""
    spec = find_spec("av")
    return spec is not None and spec.origin is not None  # a folder named av is no package


def require_h264(what: str) -> None:
    """Nothing, where PyAV is installed.

    Raises:
        BackendError: it is not.
    """
    if not has_h264():
        raise BackendError(f"{what}: needs PyAV, which is not installed. Run `pip install 'poseline[video]'`.")


class VideoFile(ABC):
    """A video being written; images of one size, an odd side grows by a pixel."""

    def __init__(self, image: Image) -> None:
        self._shape = image.shape
        self.size_wh = (image.shape[1] + image.shape[1] % 2, image.shape[0] + image.shape[0] % 2)

    def even(self, image: Image) -> Image:
        """The image with even sides.

        Raises:
            DataError: of another size than the first.
        """
        if image.shape != self._shape:
            raise DataError(f"a frame of {image.shape[1]}x{image.shape[0]}, the first has {self._shape[1]}x{self._shape[0]}.")
        height, width = image.shape[:2]
        return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)

    @abstractmethod
    def write(self, image: Image, time_ms: float) -> None:
        """Add a frame that is shown at this time since the video's start."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left and close the file."""


class OpenCvVideo(VideoFile):
    """MPEG-4 at a constant frame rate: time stamps are not kept."""

    def __init__(self, path: Path, image: Image, frames_per_second: float) -> None:
        super().__init__(image)
        self._writer = open_writer(path, self.size_wh, frames_per_second)

    def write(self, image: Image, time_ms: float) -> None:
        """Add a frame."""
        self._writer.write(cv2.cvtColor(self.even(image), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Close the file."""
        self._writer.release()


class H264Video(VideoFile):
    """H.264 with the frames' own time stamps and, where a source is named, its sound from ``start_ms`` on.

    The container is fragmented, so that what was written can be seen even where the end is missing.
    """

    def __init__(self, path: Path, image: Image, frames_per_second: float, *, sound: Path | None = None, start_ms: float = 0.0) -> None:
        """An empty file.

        Raises:
            BackendError: PyAV is not installed.
        """
        super().__init__(image)
        require_h264("H.264 video")
        import av

        self._av = av
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
        self._stream = self._file.add_stream("libx264", rate=Fraction(frames_per_second).limit_denominator(1001))
        self._stream.width, self._stream.height = self.size_wh
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = TIME_BASE
        self._stream.codec_context.options = {"preset": "veryfast", "crf": "20", "bf": "0"}  # B frames would shift the first time stamp
        self._last = -1
        self._sound = self._packets(sound, start_ms) if sound is not None else iter(())
        self._next_packet = next(self._sound, None)

    def _packets(self, source: Path, start_ms: float) -> Iterator[tuple[float, object]]:
        """(seconds, packet) of the source's sound, moved to the video's start; nothing where it has none."""
        with self._av.open(str(source)) as container:
            if not container.streams.audio:
                return
            audio = container.streams.audio[0]
            stream = self._file.add_stream_from_template(audio)
            yield 0.0, None  # the stream must be there before the first packet is written
            for packet in container.demux(audio):
                if packet.pts is None:
                    continue
                shift = round(start_ms / 1000 / audio.time_base)
                if packet.pts < shift:
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts - shift, (packet.dts or packet.pts) - shift, stream
                yield float(packet.pts * audio.time_base), packet

    def write(self, image: Image, time_ms: float) -> None:
        """Add a frame, and the sound up to it."""
        stamp = max(self._last + 1, round(time_ms * 90))
        self._last = stamp
        self._write_sound(stamp * float(TIME_BASE))
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(self.even(image)), format="rgb24")
        frame.pts, frame.time_base = stamp, TIME_BASE
        self._file.mux(self._stream.encode(frame))

    def _write_sound(self, until_s: float) -> None:
        while self._next_packet is not None and self._next_packet[0] <= until_s:
            if self._next_packet[1] is not None:
                self._file.mux(self._next_packet[1])
            self._next_packet = next(self._sound, None)

    def close(self) -> None:
        """Write what is left and close the file."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
