"""The size and EXIF orientation in the first bytes of a JPEG or PNG, as OpenCV's decoder applies them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
TURNED = 5
"""The first of the orientations that swap width and height."""

_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_APP1, _EXIF = 0xE1, b"Exif\0\0"
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class ImageHeader:
    """What the header says.

    Attributes:
        width: pixels of the upright image; 0 where it does not say.
        height: likewise.
        orientation: EXIF's: 1 (or no tag) for pixels stored upright.
    """

    width: int = 0
    height: int = 0
    orientation: int = 1


def parse_header(data: bytes, tail: bytes) -> ImageHeader:
    """The header of a JPEG or PNG from its first bytes (and, for a PNG's EXIF chunk, its last); size 0 for others and cut ones."""
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        orientation = _png_orientation(data) or _png_orientation(tail) or 1
    elif data.startswith(JPEG):
        frame, orientation = _jpeg_frame(data)
        if frame is None or frame + 9 > len(data):
            return ImageHeader(orientation=orientation)
        height, width = struct.unpack(">HH", data[frame + 5 : frame + 9])
    else:
        return ImageHeader()
    if not width or not height:
        return ImageHeader(orientation=orientation)
    return ImageHeader(height, width, orientation) if orientation >= TURNED else ImageHeader(width, height, orientation)


def _jpeg_frame(data: bytes) -> tuple[int | None, int]:
    """Offset of a JPEG's frame marker (SOFn) and the orientation in its first EXIF segment.

    Walks segment by segment: a thumbnail's own marker lies inside another segment.
    """
    position, orientation = 2, 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAME_MARKERS:
            return position, orientation or 1
        if marker == 0xFF or 0xD0 <= marker <= 0xD9:
            position += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _APP1 and not orientation and data.startswith(_EXIF, position + 4):
            orientation = _tiff_orientation(data[position + 10 : position + 2 + length])
        position += 2 + length
    return None, orientation or 1


def _png_orientation(data: bytes) -> int:
    """The orientation in a PNG's EXIF chunk among these bytes; 0 where there is none. The chunk's checksum tells it from pixels."""
    place = data.find(b"eXIf")
    while place >= 4:
        end = place + 4 + int.from_bytes(data[place - 4 : place], "big")
        if end + 4 <= len(data) and zlib.crc32(data[place:end]) == int.from_bytes(data[end : end + 4], "big"):
            return _tiff_orientation(data[place + 4 : end])
        place = data.find(b"eXIf", place + 1)
    return 0


def _tiff_orientation(data: bytes) -> int:
    """The orientation tag of an EXIF block; 1 where it has none or breaks off."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return 1
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    if directory + 2 > len(data):
        return 1
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(data) - 11), 12):
        if struct.unpack_from(f"{order}H", data, entry)[0] == _ORIENTATION_TAG:
            (value,) = struct.unpack_from(f"{order}H", data, entry + 8)
            return value if 1 <= value <= 8 else 1
    return 1
