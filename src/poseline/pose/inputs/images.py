"""Images as inputs: any depth and colour, upright, transparent parts on white."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from poseline.errors import ConfigError, DataError
from poseline.pose.inputs.base import Image, InputFrame, Source, Window

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_WITH_ALPHA = (4, 6)  # colour types, byte 25


class ImageSource(Source):
    """Image files in order: those of a folder, or those that were named one after another."""

    kind = "images"

    def __init__(self, name: str, window: Window, paths: Sequence[Path], names: Sequence[str]) -> None:
        super().__init__(name, window)
        if window.uses_time:
            raise ConfigError(f"{name}: images have no time. Give --start and --stop as positions (10, not 10s).")
        first = int(window.start[0]) if window.start else 0
        last = int(window.stop[0]) if window.stop else len(paths)
        self._chosen = list(range(len(paths)))[first : last : window.stride]
        self._paths, self.names = list(paths), list(names)
        self.length = len(self._chosen)

    @property
    def chosen_names(self) -> list[str]:
        """Names of the images that the window takes."""
        return [self.names[index] for index in self._chosen]

    def read(self, skip: int = 0) -> Iterator[InputFrame]:
        """The images in order; each is read where it is used."""
        for index in self._chosen[skip:]:
            yield InputFrame(index, None, self.names[index], partial(read_upright, self._paths[index]))


def read_upright(path: Path) -> Image:
    """An image as 8-bit RGB as a viewer shows it: turned as EXIF says, 16 bits reduced, transparent parts on white.

    Raises:
        DataError: no such file, cannot be read, or no image that can be decoded.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such image. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None
    return decode_upright(data, name=str(path))


def decode_upright(data: bytes, *, name: str) -> Image:
    """Encoded bytes as 8-bit RGB, upright; ``name`` stands in the error.

    Raises:
        DataError: empty, or no image that can be decoded.
    """
    image = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise DataError(f"{name}: expected an image, got {len(data)} bytes that do not decode as one. Fetch it again or remove it.")
    colour = to_bytes(image)
    if data.startswith(_PNG) and len(data) > 25 and data[25] in _PNG_WITH_ALPHA:
        colour = _on_white(colour, _decode(data, cv2.IMREAD_UNCHANGED))
    return cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Pixel values as uint8: 16-bit ones divided by 257, fractions multiplied by 255."""
    if image.dtype == np.uint16:
        return np.rint(image / 257.0).astype(np.uint8)
    if image.dtype != np.uint8:
        top = 1.0 if image.max(initial=0) <= 1 else 255.0
        return np.rint(np.clip(np.nan_to_num(image) / top, 0, 1) * 255).astype(np.uint8)
    return image


def _on_white(colour: np.ndarray, layers: np.ndarray | None) -> np.ndarray:
    """The colours on white by their alpha; as they are where the layers do not fit (turned by EXIF)."""
    if layers is None or layers.ndim != 3 or layers.shape[2] != 4 or layers.shape[:2] != colour.shape[:2]:
        return colour
    alpha = to_bytes(layers)[..., 3:].astype(np.float32) / 255
    return np.rint(colour * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    if not data:
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
