"""What every input is: a named source of frames in order, which can start again in the middle."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from poseline.errors import ConfigError

Image = UInt8[np.ndarray, "_ _ 3"]
SourceKind = Literal["images", "video", "live"]
"""``images``: separate images or a folder of frames; ``video``: a file that can be read again; ``live``: camera, stream or pipe."""

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")


@dataclass(frozen=True)
class InputFrame:
    """One frame of a source.

    Attributes:
        frame_index: position in its source, from 0; with a stride it skips.
        time_ms: since the source's start; None where frames have no time.
        name: of the image file, relative to the source; of a video's frame its number with .jpg.
        load: gives the RGB image; raises DataError where it is broken.
    """

    frame_index: int
    time_ms: float | None
    name: str
    load: Callable[[], Image]


@dataclass(frozen=True)
class Window:
    """Which frames of a source are used: every ``stride``-th from ``start`` up to, and without, ``stop``.

    Attributes:
        start, stop: (value, whether it is milliseconds); None: from the first, to the last.
        stride: 1 takes every frame.
    """

    start: tuple[float, bool] | None = None
    stop: tuple[float, bool] | None = None
    stride: int = 1

    @property
    def uses_time(self) -> bool:
        """Whether an end is given as a time."""
        return any(end is not None and end[1] for end in (self.start, self.stop))

    def reached(self, frame_index: int, time_ms: float | None) -> bool:
        """Whether the frame does not lie before the start."""
        return self.start is None or _position(self.start, frame_index, time_ms) >= self.start[0]

    def passed(self, frame_index: int, time_ms: float | None) -> bool:
        """Whether the frame lies at or after the stop."""
        return self.stop is not None and _position(self.stop, frame_index, time_ms) >= self.stop[0]

    def count(self, length: int | None, frames_per_second: float | None) -> int | None:
        """How many of ``length`` frames are used, as far as that is known beforehand."""
        rate = frames_per_second or 0.0
        ends = [None if end is None else end[0] * rate / 1000 if end[1] else end[0] for end in (self.start, self.stop)]
        last = ends[1] if length is None else float(length) if ends[1] is None else min(float(length), ends[1])
        return None if last is None else max(0, -(-int(last - (ends[0] or 0)) // self.stride))


def _position(end: tuple[float, bool], frame_index: int, time_ms: float | None) -> float:
    return (time_ms or 0.0) if end[1] else float(frame_index)


def parse_end(text: str | None, *, option: str) -> tuple[float, bool] | None:
    """A frame number (``250``) or a time (``12.5s``, ``800ms``, ``1:30``, ``0:01:30.5``) as (value, whether it is milliseconds).

    >>> parse_end("250", option="--start"), parse_end("1:30", option="--start")
    ((250.0, False), (90000.0, True))

    Raises:
        ConfigError: neither.
    """
    if text is None:
        return None
    if text.isdigit():
        return float(text), False
    if found := _SECONDS.fullmatch(text):
        return float(found[1]) * (1.0 if found[2] == "ms" else 1000.0), True
    if found := _CLOCK.fullmatch(text):
        return 1000 * (3600 * int(found[1] or 0) + 60 * int(found[2]) + float(found[3])), True
    raise ConfigError(f"{option}: expected a frame number (250) or a time (12.5s, 1:30), got '{text}'.")


class Source(ABC):
    """A sequence of frames.

    Attributes:
        name: as a user named it.
        kind: whether frames are a video's, and whether they can be read again.
        frames_per_second: None where it has no rate.
        length: frames to come, as far as known; an estimate for progress alone.
        size_wh: of a video's frames; zeros where it is not known before.
    """

    kind: SourceKind = "video"

    def __init__(self, name: str, window: Window) -> None:
        self.name, self.window = name, window
        self.frames_per_second: float | None = None
        self.length: int | None = None
        self.size_wh = (0, 0)

    @property
    def stem(self) -> str:
        """A short name, fit for a file."""
        parts = [part for part in re.split(r"[\\/]", self.name.split("?")[0]) if part not in ("", ".", "..")]
        return re.sub(r"[^\w.-]+", "_", re.sub(r"\.\w{1,5}$", "", parts[-1] if parts else "")) or "input"

    @abstractmethod
    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """The frames in order, without the first ``skip`` of those that the window takes.

        Raises:
            DataError: it cannot be opened.
            BackendError: a camera or stream is not there, or died.
        """

    @property
    def missing(self) -> int:
        """Frames that the source promised and that could not be decoded, known once it was read to its end."""
        return 0
