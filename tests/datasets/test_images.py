"""Decoding, header sizes, probes and listings, on images written here."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseline.datasets.images import fingerprint_image, list_images, probe_image, probe_images, read_image, read_image_size
from poseline.errors import DataError


def write_image(path: Path, *, width: int = 37, height: int = 23, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def test_read_image_gives_rgb(tmp_path: Path) -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red)
    image = read_image(tmp_path / "red.png")
    assert image.shape == (4, 5, 3)
    assert image[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_size_from_header_is_the_decoded_size(tmp_path: Path, suffix: str) -> None:
    path = write_image(tmp_path / f"a.{suffix}")
    assert read_image_size(path) == (37, 23)
    assert read_image(path).shape == (23, 37, 3)


def test_size_of_a_jpeg_with_a_thumbnail_and_large_metadata(tmp_path: Path) -> None:
    plain = write_image(tmp_path / "a.jpg").read_bytes()
    thumbnail = write_image(tmp_path / "thumb.jpg", width=8, height=6).read_bytes()
    block = b"\xff\xe1" + (2 + 6 + len(thumbnail)).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    padding = b"\xff\xe2" + (60002).to_bytes(2, "big") + bytes(60000)
    path = tmp_path / "meta.jpg"
    path.write_bytes(plain[:2] + block + padding * 2 + plain[2:])
    assert read_image_size(path) == (37, 23)
    assert probe_image(path).state == "ok"


def exif_block(orientation: int, *, big: bool = False, before: int = 0) -> bytes:
    """A TIFF directory of two tags with the orientation as the second, some bytes after the header."""
    order = ">" if big else "<"
    entries = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    size = struct.pack(f"{order}HHII", 0x0100, 4, 1, 37)
    start = (b"MM" if big else b"II") + struct.pack(f"{order}HI", 42, 8 + before) + bytes(before)
    return start + struct.pack(f"{order}H", 2) + size + entries + bytes(4)


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (2 + len(content)).to_bytes(2, "big") + content


def with_exif(image: Path, orientation: int, **options: int) -> Path:
    """The image with an EXIF orientation put into its file, in place."""
    block, data = exif_block(orientation, **options), image.read_bytes()
    if image.suffix == ".png":
        chunk = len(block).to_bytes(4, "big") + b"eXIf" + block + zlib.crc32(b"eXIf" + block).to_bytes(4, "big")
        image.write_bytes(data[:33] + chunk + data[33:])
    else:
        image.write_bytes(data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:])
    return image


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("options", [{}, {"big": True}, {"before": 30}])
def test_images_are_upright_and_the_header_says_so(tmp_path: Path, suffix: str, orientation: int, options: dict[str, int]) -> None:
    path = write_image(tmp_path / f"a.{suffix}", width=64, height=40)
    stored = read_image(path)
    with_exif(path, orientation, **options)
    image = read_image(path)
    turned = {2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.swapaxes(0, 1), 6: np.rot90(stored, 3),
              7: stored[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(stored)}.get(orientation, stored)  # fmt: skip
    np.testing.assert_array_equal(image, turned)
    np.testing.assert_array_equal(image, cv2.imread(str(path))[..., ::-1])
    expected = orientation if 1 <= orientation <= 8 else 1
    for depth in ("header", "decode"):
        probe = probe_image(path, depth=depth)  # type: ignore[arg-type]
        assert (probe.state, probe.height, probe.width, probe.orientation) == ("ok", *image.shape[:2], expected)
    assert read_image_size(path) == image.shape[1::-1]


JPEG_PARTS = {
    "behind XMP": [(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), (0xE1, b"Exif\0\0" + exif_block(6))],
    "behind much": [(0xE2, bytes(60000)), (0xE2, bytes(60000)), (0xE1, b"Exif\0\0" + exif_block(6))],
    "two, the first counts": [(0xE1, b"Exif\0\0" + exif_block(1)), (0xE1, b"Exif\0\0" + exif_block(6))],
    "two, turned first": [(0xE1, b"Exif\0\0" + exif_block(6)), (0xE1, b"Exif\0\0" + exif_block(3))],
    "another segment": [(0xE2, b"Exif\0\0" + exif_block(6))],
    "cut in a tag": [(0xE1, b"Exif\0\0" + exif_block(6)[:24])],
    "cut in the header": [(0xE1, b"Exif\0\0" + exif_block(6)[:6])],
    "no TIFF": [(0xE1, b"Exif\0\0" + exif_block(6).replace(b"*", b"+"))],
    "empty": [(0xE1, b"Exif\0\0")],
}


@pytest.mark.parametrize("kind", JPEG_PARTS)
def test_the_header_reads_exif_as_the_decoder_does(tmp_path: Path, kind: str) -> None:
    path = write_image(tmp_path / "a.jpg")
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"".join(segment(*part) for part in JPEG_PARTS[kind]) + data[2:])
    assert read_image_size(path) == read_image(path).shape[1::-1] == cv2.imread(str(path)).shape[1::-1]


def test_exif_at_the_end_of_a_large_png(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", width=300, height=200)
    data, block = path.read_bytes(), exif_block(6)
    assert len(data) > 65536
    chunk = len(block).to_bytes(4, "big") + b"eXIf" + block + zlib.crc32(b"eXIf" + block).to_bytes(4, "big")
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert read_image_size(path) == read_image(path).shape[1::-1] == (200, 300)


def test_read_image_names_the_fault(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"missing\.jpg: no such image"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(DataError, match=r"empty\.jpg: expected an image, got an empty file"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(DataError, match=r"text\.jpg: expected an image, got 10 bytes"):
        read_image(tmp_path / "text.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("depth", ["header", "decode"])
def test_probe_tells_whole_from_cut_and_foreign(tmp_path: Path, suffix: str, depth: str) -> None:
    whole = write_image(tmp_path / f"whole.{suffix}", width=200, height=100)
    data = whole.read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / f"text.{suffix}").write_text("no picture")
    (tmp_path / f"trailer.{suffix}").write_bytes(data + bytes(5000 if suffix == "jpg" else 0))
    names = ("whole", "cut", "text", "missing", "trailer")
    probes = probe_images([tmp_path / f"{name}.{suffix}" for name in names], depth=depth)  # type: ignore[arg-type]
    assert [probe.state for probe in probes[2:]] == ["unreadable", "missing", "ok"]
    assert (probes[0].state, probes[0].width, probes[0].height) == ("ok", 200, 100)
    assert probes[1].state in ("truncated", "unreadable")


def test_probe_exists_looks_at_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    assert probe_image(tmp_path / "text.jpg", depth="exists").state == "ok"
    assert probe_image(tmp_path / "none.jpg", depth="exists").state == "missing"


def test_fingerprint_is_the_content(tmp_path: Path) -> None:
    a, b = write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", seed=1)
    copy = tmp_path / "copy.png"
    copy.write_bytes(a.read_bytes())
    assert fingerprint_image(a) == fingerprint_image(copy) != fingerprint_image(b)
    assert fingerprint_image(tmp_path / "none.png") == ""


def test_list_images_sorts_and_filters(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.PNG", "b.jpg"]
    with pytest.raises(DataError, match="expected a folder of images, got nothing"):
        list_images(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none"):
        list_images(tmp_path / "empty")
