"""The key-value pairs inside an ONNX file, read and added without loading its graph."""

from __future__ import annotations

import io
from pathlib import Path

from poseline.errors import ArtifactError

KEY = "poseline"
"""The key of our description, JSON as in a file beside the network."""

_METADATA = 14  # field number of metadata_props in ONNX's ModelProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf


def read_metadata(path: Path) -> dict[str, str]:
    """The pairs in the order of the file; a later pair of a key wins.

    Raises:
        ArtifactError: the file cannot be read, or is no ONNX file.
    """
    found: dict[str, str] = {}
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while file.tell() < size:
                number, content = _read_field(file, keep=_METADATA, size=size)
                if number == _METADATA:
                    pair = _read_pair(content)
                    found[pair[0]] = pair[1]
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None
    except (ValueError, EOFError):
        raise ArtifactError(f"{path}: not an ONNX file, or cut short. Fetch it again.") from None
    return found


def add_metadata(path: Path, pairs: dict[str, str]) -> None:
    """Add pairs to an ONNX file in place: protobuf joins a repeated field, so they are appended."""
    with path.open("ab") as file:
        for key, value in pairs.items():
            pair = _field(1, key.encode()) + _field(2, value.encode())
            file.write(_field(_METADATA, pair))


def _read_pair(content: bytes) -> tuple[str, str]:
    parts = {1: "", 2: ""}
    file = io.BytesIO(content)
    while file.tell() < len(content):
        number, value = _read_field(file, keep=None, size=len(content))
        parts[number] = value.decode("utf-8")
    return parts[1], parts[2]


def _read_field(file: io.BufferedIOBase, *, keep: int | None, size: int) -> tuple[int, bytes]:
    """Number and content of the next field; the content of others than ``keep`` is skipped, None keeps all."""
    tag = _read_varint(file)
    number, wire = tag >> 3, tag & 7
    if wire == _VARINT:
        _read_varint(file)
        return number, b""
    length = _read_varint(file) if wire == _BYTES else {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
    if number == 0 or length < 0 or file.tell() + length > size:
        raise ValueError("not protobuf")
    if keep is None or number == keep:
        return number, file.read(length)
    file.seek(length, io.SEEK_CUR)
    return number, b""


def _read_varint(file: io.BufferedIOBase) -> int:
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
