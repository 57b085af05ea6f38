"""Images on disk: decoding to upright RGB, sizes from the header alone, probes for validation, and folder listings.

Pixels are upright everywhere: an EXIF orientation is applied by :func:`decode_image`, and sizes are those of the upright image.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8

from poseline.datasets.frame_order import natural_key
from poseline.datasets.image_headers import JPEG, PNG, ImageHeader, parse_header
from poseline.datasets.json_files import list_folder
from poseline.errors import DataError
from poseline.progress import follow

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_HEAD_BYTES = 65536
_TAIL_BYTES = 1024
_PRINT_BYTES = 4096
_CHUNK = 64

Result = TypeVar("Result")


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """The image as RGB, upright: an EXIF orientation is applied, as annotation tools and OpenCV do.

    Raises:
        DataError: no such file, cannot be read, or no image that can be decoded.
    """
    return decode_image(_read_bytes(path), name=str(path))


def decode_image(data: bytes, *, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Encoded bytes as upright RGB; ``name`` stands in the error.

    Raises:
        DataError: empty, or no image that can be decoded.
    """
    if not data:
        raise DataError(f"{name}: expected an image, got an empty file. Fetch it again.")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{name}: expected an image, got {len(data)} bytes that do not decode as one. Fetch it again or remove it.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header of a JPEG or PNG, by decoding for other formats.

    Raises:
        DataError: no such file, cannot be read, or no image.
    """
    header = _read_header(path)
    return header.width, header.height


@dataclass(frozen=True)
class ImageProbe:
    """What is known of one image file.

    Attributes:
        state: missing; unreadable (no image, or no permission); truncated (its end is missing); or ok.
        width: pixels of the upright image; 0 where it was not read or is not known.
        height: pixels; likewise.
        orientation: EXIF's, of a JPEG or PNG: 1 for pixels that are stored upright, 2 to 8 for turned or mirrored ones.
    """

    state: Literal["missing", "unreadable", "truncated", "ok"]
    width: int = 0
    height: int = 0
    orientation: int = 1


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
            return ImageProbe("ok" if _has_end(data) else "truncated", width, height, parse_header(data, data).orientation)
        header = _read_header(path)
        whole = _has_end(_read_ends(path)) or _has_end(_read_bytes(path))
        return ImageProbe("ok" if whole else "truncated", header.width, header.height, header.orientation)
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
        return list(follow((result for part in parts for result in part), "images", total=len(paths)))


def list_images(folder: Path) -> list[Path]:
    """The images directly in a folder, in natural order of their names; without hidden files.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, got {'a file' if folder.exists() else 'nothing'}. Check the path.")
    paths = [path for path in list_folder(folder, "*") if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise DataError(f"{folder}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none. Check the folder.")
    return sorted(paths, key=lambda path: (natural_key(path.name), path.name))


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


def _read_header(path: Path) -> ImageHeader:
    """The upright size and the orientation; from the file's ends where these will do.

    Raises:
        DataError: no such file, cannot be read, or no image.
    """
    head = _read_bytes(path, limit=_HEAD_BYTES)
    header = parse_header(head, _read_tail(path) if head.startswith(PNG) and len(head) == _HEAD_BYTES else b"")
    if header.width:
        return header
    data = _read_bytes(path)
    header = parse_header(data, b"")
    if header.width:
        return header
    height, width = decode_image(data, name=str(path)).shape[:2]
    return ImageHeader(width, height)


def _read_tail(path: Path) -> bytes:
    """The last bytes of a PNG, where its EXIF chunk may stand."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _HEAD_BYTES))
        return file.read()


def _has_end(data: bytes) -> bool:
    """Whether the end marker of a JPEG or PNG is there; True for formats that have none.

    The whole file is searched after its last thumbnail could end, since some cameras write data after the marker.
    """
    if data.startswith(PNG):
        return b"IEND" in data[-_TAIL_BYTES:]
    if not data.startswith(JPEG):
        return True
    scan = data.rfind(b"\xff\xda")
    return data.rfind(b"\xff\xd9") > max(scan, 0)
