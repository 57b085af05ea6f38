"""Decoding, header sizes, probes and listings, on images written here."""

from __future__ import annotations

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


def test_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    block = b"\xff\xe1" + (2 + 6 + len(tiff)).to_bytes(2, "big") + b"Exif\0\0" + tiff
    plain = write_image(tmp_path / "a.jpg").read_bytes()
    (tmp_path / "turned.jpg").write_bytes(plain[:2] + block + plain[2:])
    assert cv2.imread(str(tmp_path / "turned.jpg")).shape == (37, 23, 3)
    assert read_image(tmp_path / "turned.jpg").shape == (23, 37, 3)


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
