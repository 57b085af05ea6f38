"""Raw frames from a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np

from poseline.errors import ConfigError, DataError
from poseline.pose.inputs.base import Image, InputFrame, Source, Window

_FORMAT = re.compile(r"(\d+)x(\d+)(?::(rgb24|bgr24|gray))?(?:@(\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class RawFormat:
    """How the bytes of a pipe are to be read: ``640x480``, ``640x480:bgr24``, ``640x480:rgb24@25``."""

    width: int
    height: int
    pixels: str = "rgb24"
    frames_per_second: float | None = None

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """The form of the option.

        Raises:
            ConfigError: another text.
        """
        found = _FORMAT.fullmatch(text)
        if found is None or not int(found[1]) or not int(found[2]):
            raise ConfigError(f"--raw: expected WIDTHxHEIGHT[:rgb24|bgr24|gray][@FRAMES_PER_SECOND], got '{text}'.")
        return cls(int(found[1]), int(found[2]), found[3] or "rgb24", float(found[4]) if found[4] else None)

    @property
    def num_bytes(self) -> int:
        """Bytes of one frame."""
        return self.width * self.height * (1 if self.pixels == "gray" else 3)

    def to_image(self, data: bytes) -> Image:
        """The RGB image of one frame's bytes."""
        array = np.frombuffer(data, np.uint8).reshape(self.height, self.width, -1)
        if self.pixels == "gray":
            return np.repeat(array, 3, axis=2)
        return np.ascontiguousarray(array[..., ::-1]) if self.pixels == "bgr24" else array


class RawSource(Source):
    """Frames from standard input, one after another."""

    kind = "live"

    def __init__(self, window: Window, form: RawFormat, stream: BinaryIO | None = None) -> None:
        super().__init__("stdin", window)
        self._form, self._stream = form, stream
        self.frames_per_second = form.frames_per_second
        self._rest = 0

    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """The frames in order, until the pipe ends.

        Raises:
            DataError: the pipe holds no whole frame.
        """
        stream, frame_index, taken = self._stream or sys.stdin.buffer, -1, 0
        while len(data := stream.read(self._form.num_bytes)) == self._form.num_bytes:
            frame_index += 1
            time_ms = round(1000 * frame_index / self.frames_per_second, 3) if self.frames_per_second else None
            if self.window.passed(frame_index, time_ms):
                return
            if self.window.reached(frame_index, time_ms) and frame_index % self.window.stride == 0:
                taken += 1
                if taken > skip:
                    image = self._form.to_image(data)
                    yield InputFrame(frame_index, time_ms, f"{frame_index}.jpg", partial(np.asarray, image))
        self._rest = len(data)
        if frame_index < 0:
            wanted = f"{self._form.width}x{self._form.height} {self._form.pixels}"
            raise DataError(f"stdin: expected frames of {self._form.num_bytes} bytes ({wanted}), got {len(data)} bytes.")

    @property
    def missing(self) -> int:
        """1 where the pipe ended within a frame."""
        return int(self._rest > 0)
