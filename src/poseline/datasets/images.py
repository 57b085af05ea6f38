"""Images on disk: decoding to RGB, sizes from the header alone, probes for validation, and folder listings."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8

from poseline.errors import DataError
from poseline.progress import follow

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_HEAD_BYTES = 65536
_TAIL_BYTES = 1024
_PRINT_BYTES = 4096
_CHUNK = 64

Result = TypeVar("Result")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """The image as RGB, in the orientation of its pixels: EXIF rotation is not applied, for annotations mean stored pixels.

    Raises:
        DataError: no such file, cannot be read, or no image that can be decoded.
    """
    return decode_image(_read_bytes(path), name=str(path))


def decode_image(data: bytes, *, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Encoded bytes as RGB; ``name`` stands in the error.

    Raises:
        DataError: empty, or no image that can be decoded.
    """
    if not data:
        raise DataError(f"{name}: expected an image, got an empty file. Fetch it again.")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{name}: expected an image, got {len(data)} bytes that do not decode as one. Fetch it again or remove it.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_image_size(path: Path) -> tuple[int, int]:
    """Width and height of the stored pixels, from the header of a JPEG or PNG, by decoding for other formats.

    Raises:
        DataError: no such file, cannot be read, or no image.
    """
    size = _header_size(_read_bytes(path, limit=_HEAD_BYTES))
    if size is None:
        data = _read_bytes(path)
        size = _header_size(data)
        if size is None:
            height, width = decode_image(data, name=str(path)).shape[:2]
            size = (width, height)
    return size


@dataclass(frozen=True)
class ImageProbe:
    """What is known of one image file.

    Attributes:
        state: missing; unreadable (no image, or no permission); truncated (its end is missing); or ok.
        width: pixels; 0 where it was not read or is not known.
        height: pixels; likewise.
    """

    state: Literal["missing", "unreadable", "truncated", "ok"]
    width: int = 0
    height: int = 0


def probe_image(path: Path, *, depth: Literal["exists", "header", "decode"] = "header") -> ImageProbe:
    """Whether the image is there, of which size, and whole. Never raises.

    ``exists`` tests the file's presence alone; ``header`` reads its two ends (a cut JPEG or PNG lacks its end marker);
    ``decode`` decodes it.
    """
    if not path.is_file():
        return ImageProbe("missing")
    if depth == "exists":
        return ImageProbe("ok")
    try:
        if depth == "decode":
            data = _read_bytes(path)
            height, width = decode_image(data, name=str(path)).shape[:2]
            return ImageProbe("ok" if _has_end(data) else "truncated", width, height)
        width, height = read_image_size(path)
        whole = _has_end(_read_ends(path)) or _has_end(_read_bytes(path))
        return ImageProbe("ok" if whole else "truncated", width, height)
    except DataError:
        return ImageProbe("unreadable")


def probe_images(
    paths: Sequence[Path], *, depth: Literal["exists", "header", "decode"] = "header", threads: int = 0
) -> list[ImageProbe]:
    """The probe of every image, in order, on ``threads`` threads (0: twice the cores): reading and decoding release the GIL."""
    return _map_threads(lambda path: probe_image(path, depth=depth), paths, threads=threads)


def fingerprint_image(path: Path) -> str:
    """The same text for files of the same size, beginning and end; empty where the file cannot be read.

    Encoded images that agree in these are the same image for all practical purposes, at 8 KB read instead of all.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(file.read(_PRINT_BYTES), digest_size=12)
            file.seek(max(0, size - _PRINT_BYTES))
            digest.update(file.read())
    except OSError:
        return ""
    return f"{size}-{digest.hexdigest()}"


def fingerprint_images(paths: Sequence[Path], *, threads: int = 0) -> list[str]:
    """The fingerprint of every image, in order, on ``threads`` threads (0: twice the cores)."""
    return _map_threads(fingerprint_image, paths, threads=threads)


def _map_threads(function: Callable[[Path], Result], paths: Sequence[Path], *, threads: int) -> list[Result]:
    """The function of every path, in order; in chunks, for handing single files to threads costs more than their headers."""
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(max_workers=threads or 2 * (os.cpu_count() or 1)) as pool:
        parts = pool.map(lambda chunk: [function(path) for path in chunk], chunks)
        return [result for part in follow(parts, "images", total=len(chunks), unit=f"x {_CHUNK} images") for result in part]


def list_images(folder: Path) -> list[Path]:
    """The images directly in a folder, by name.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, got {'a file' if folder.exists() else 'nothing'}. Check the path.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise DataError(f"{folder}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none. Check the folder.")
    return paths


def _read_bytes(path: Path, *, limit: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image. Check the image folders under data in params.yaml.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None


def _read_ends(path: Path) -> bytes:
    """The first bytes and the last ones: enough to know the format and to find its end marker."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            file.seek(max(16, path.stat().st_size - _TAIL_BYTES))
            return head + file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None


def _header_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the header of a JPEG or PNG; None for other formats and where the bytes end before it."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    frame = _jpeg_frame(data) if data.startswith(_JPEG) else None
    if frame is None or frame + 9 > len(data):
        return None
    height, width = struct.unpack(">HH", data[frame + 5 : frame + 9])
    return (int(width), int(height)) if width and height else None


def _jpeg_frame(data: bytes) -> int | None:
    """Offset of a JPEG's frame marker (SOFn), walking segment by segment: a thumbnail's own lies inside another segment."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAME_MARKERS:
            return position
        if marker == 0xFF or 0xD0 <= marker <= 0xD9:
            position += 1 if marker == 0xFF else 2
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _has_end(data: bytes) -> bool:
    """Whether the end marker of a JPEG or PNG is there; True for formats that have none.

    The whole file is searched after its last thumbnail could end, since some cameras write data after the marker.
    """
    if data.startswith(_PNG):
        return b"IEND" in data[-_TAIL_BYTES:]
    if not data.startswith(_JPEG):
        return True
    scan = data.rfind(b"\xff\xda")
    return data.rfind(b"\xff\xd9") > max(scan, 0)
