"""Inputs: what a user names, as frames in order."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from poseline.errors import BackendError, ConfigError, DataError
from poseline.pose.inputs.base import Source, Window, parse_end
from poseline.pose.inputs.images import read_upright
from poseline.pose.inputs.listing import open_inputs
from poseline.pose.inputs.raw import RawFormat, RawSource
from poseline.pose.inputs.video import LiveSource, VideoSource

ALL = Window()
GRADIENT = np.dstack([np.tile(np.arange(0, 240, 6), (24, 1)), np.full((24, 40), 90), np.full((24, 40), 20)]).astype(np.uint8)


def write_image(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 10, 3), value, np.uint8))
    return path


def indices(source: Source, skip: int = 0) -> list[int]:
    return [frame.frame_index for frame in source.read(skip)]


def test_a_folder_is_read_recursively_images_and_videos_mixed_numbers_by_value(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    for name in ("f10.png", "f2.png", "sub/1.png", "sub/deep/x.JPG", ".hidden/no.png", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no image")
        else:
            write_image(tmp_path / name)
    make_clip("walk.avi")
    sources = open_inputs([str(tmp_path)], ALL)
    assert [(source.kind, source.stem) for source in sources] == [
        ("images", tmp_path.name), ("video", "walk"), ("images", "sub"), ("images", "deep"),
    ]  # fmt: skip
    assert [frame.name for source in sources if source.kind == "images" for frame in source.read()] == [
        "f2.png", "f10.png", "sub/1.png", "sub/deep/x.JPG",
    ]  # fmt: skip


def test_images_named_one_after_another_are_one_source(tmp_path: Path) -> None:
    paths = [str(write_image(tmp_path / name)) for name in ("b.png", "a.png")]
    (source,) = open_inputs(paths, ALL)
    assert [frame.name for frame in source.read()] == ["b.png", "a.png"]


def test_a_pattern_gives_its_matches_in_order_and_a_list_its_lines(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_image(tmp_path / f"{number}.png")
    (source,) = open_inputs([str(tmp_path / "*.png")], ALL)
    assert [frame.name for frame in source.read()] == ["1.png", "2.png", "10.png"]
    (tmp_path / "list.txt").write_text("# two of them\n10.png\n\n1.png\n")
    (source,) = open_inputs([str(tmp_path / "list.txt")], ALL)
    assert [frame.name for frame in source.read()] == ["10.png", "1.png"]


@pytest.mark.parametrize("name", ["photo", "photo.dat"])
def test_an_image_without_an_ending_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "a.png").rename(tmp_path / name)
    (source,) = open_inputs([str(tmp_path / name)], ALL)
    assert source.kind == "images"


def test_images_of_a_pattern_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["a.png", "a9.png", "a10.png", "b1.png", "b/1.png", "b/2/1.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / name)
    (source,) = open_inputs([str(tmp_path / "**" / "*.png")], ALL)
    assert [frame.name for frame in source.read()] == names


def save(path: Path, image: Pil.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_exif_turns_an_image(tmp_path: Path) -> None:
    exif = Pil.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    path = save(tmp_path / "a.jpg", Pil.fromarray(GRADIENT), exif=exif, quality=95)
    image = read_upright(path)
    assert image.shape == (40, 24, 3)
    assert np.abs(image.astype(int) - np.rot90(GRADIENT, -1)).mean() < 4


@pytest.mark.parametrize("kind", ["L", "CMYK", "RGBA", "P", "1", "I;16"])
def test_every_kind_of_pixel_is_rgb_bytes(tmp_path: Path, kind: str) -> None:
    image, suffix = Pil.fromarray(GRADIENT), ".png"
    expected = GRADIENT.astype(int)
    match kind:
        case "CMYK":
            suffix = ".jpg"
        case "L":
            expected = np.repeat(np.asarray(image.convert("L"))[..., None], 3, axis=2).astype(int)
        case "RGBA":
            image.putalpha(Pil.fromarray(np.tile(np.arange(40) >= 20, (24, 1)).astype(np.uint8) * 255))
            expected[:, :20] = 255  # transparent parts are on white
        case "1":
            expected = np.repeat(np.asarray(image.convert("1"))[..., None] * 255, 3, axis=2).astype(int)
        case "P":
            expected = np.asarray(image.convert("P", palette=Pil.Palette.ADAPTIVE).convert("RGB")).astype(int)
    path = tmp_path / f"a{suffix}"
    if kind == "I;16":
        cv2.imwrite(str(path), cv2.cvtColor(GRADIENT, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    else:
        save(path, image if kind == "RGBA" else image.convert(kind, palette=Pil.Palette.ADAPTIVE), quality=95)
    found = read_upright(path)
    assert (found.dtype, found.shape) == (np.uint8, (24, 40, 3))
    assert np.abs(found.astype(int) - expected).mean() < (6 if kind == "CMYK" else 1)


@pytest.mark.parametrize(("text", "expected"), [
    (None, None), ("0", (0, False)), ("12.5s", (12500, True)), ("800ms", (800, True)), ("1:30", (90_000, True)),
    ("1:00:00.5", (3_600_500, True)),
])  # fmt: skip
def test_an_end_is_a_frame_or_a_time(text: str | None, expected: tuple[float, bool] | None) -> None:
    assert parse_end(text, option="--start") == expected


@pytest.mark.parametrize("text", ["-1", "ten", "1:2:3:4", "5 s", "nan"])
def test_another_end_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--start: expected a frame number"):
        parse_end(text, option="--start")


@pytest.mark.parametrize(("window", "expected"), [
    (Window(), list(range(40))),
    (Window(stride=7), [0, 7, 14, 21, 28, 35]),
    (Window(start=(10, False), stop=(20, False), stride=4), [10, 14, 18]),
    (Window(start=(400, True), stop=(600, True)), [10, 11, 12, 13, 14]),
    (Window(start=(100, False)), []),
])  # fmt: skip
def test_a_window_takes_its_frames_and_skipping_goes_on_in_them(
    make_clip: Callable[..., Path], window: Window, expected: list[int]
) -> None:  # fmt: skip
    source = VideoSource(str(make_clip()), window)
    assert indices(source) == expected
    assert indices(source, skip=2) == expected[2:]
    assert source.length == len(expected)
    assert source.missing == 0


def test_a_window_of_images_counts_positions(tmp_path: Path) -> None:
    paths = [str(write_image(tmp_path / f"{number}.png")) for number in range(9)]
    (source,) = open_inputs(paths, Window(start=(2, False), stride=3))
    assert (indices(source), indices(source, skip=1), source.length) == ([2, 5, 8], [5, 8], 3)
    with pytest.raises(ConfigError, match="images have no time"):
        open_inputs(paths, Window(start=(1000, True)))


def test_a_video_longer_than_its_header_says_is_read_to_its_end(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    data = bytearray(path.read_bytes())
    header, stream = data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32
    for place in (header, stream):
        assert struct.unpack_from("<I", data, place) == (40,)
        struct.pack_into("<I", data, place, 11)
    path.write_bytes(data)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 11
    assert indices(VideoSource(str(path), ALL)) == list(range(40))


def test_a_truncated_video_gives_what_is_there_and_says_what_is_missing(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source = VideoSource(str(path), ALL)
    found = indices(source)
    assert 10 < len(found) < 40
    assert source.missing in (0, 40 - len(found))


def stretch_times(path: Path, deltas: list[tuple[int, int]]) -> None:
    """Give an mp4 a variable frame rate: its table of durations in place of its single entry, (frames, ticks) each."""
    data = path.read_bytes()
    place = data.index(b"stts") - 4
    old = struct.unpack_from(">I", data, place)[0]
    table = struct.pack(">I4sII", 16 + 8 * len(deltas), b"stts", 0, len(deltas)) + b"".join(struct.pack(">II", *entry) for entry in deltas)
    data = bytearray(data[:place] + table + data[place + old :])
    data = bytearray(data.replace(b"edts", b"free"))  # its list of cuts would end the video where it ended before
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = data.index(box) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(table) - old)
    path.write_bytes(data)


def test_a_variable_frame_rate_keeps_its_time_stamps(make_clip: Callable[..., Path]) -> None:
    path = make_clip("clip.mp4", [np.full((48, 64, 3), 8 * t, np.uint8) for t in range(20)], rate=25)
    tick = struct.unpack_from(">I", path.read_bytes(), path.read_bytes().index(b"mdhd") + 16)[0] // 25
    stretch_times(path, [(10, tick), (10, 3 * tick)])
    times = [frame.time_ms for frame in VideoSource(str(path), ALL).read()]
    assert times == pytest.approx([40 * t for t in range(11)] + [400 + 120 * t for t in range(1, 10)], abs=1)


@pytest.mark.usefixtures("unchecked")
def test_frames_of_a_pipe_keep_their_order_and_colours() -> None:
    form = RawFormat.parse("4x2:bgr24@10")
    frames = [np.full((2, 4, 3), (t, 0, 200), np.uint8) for t in range(5)]
    source = RawSource(Window(stride=2), form, io.BytesIO(b"".join(frame.tobytes() for frame in frames) + b"half"))
    found = list(source.read())
    assert [(frame.frame_index, frame.time_ms) for frame in found] == [(0, 0.0), (2, 200.0), (4, 400.0)]
    assert found[2].load()[0, 0].tolist() == [200, 0, 4]
    assert source.missing == 1
    with pytest.raises(DataError, match="stdin: expected frames of 24 bytes"):
        list(RawSource(ALL, form, io.BytesIO(b"x")).read())


@pytest.mark.parametrize("text", ["640", "0x4", "4x4:yuv", "4x4@", "axb"])
def test_a_form_of_a_pipe_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--raw: expected"):
        RawFormat.parse(text)


class DyingCamera:
    """Gives two frames, breaks, comes back once for one more, then is gone."""

    opened = 0

    def __init__(self) -> None:
        DyingCamera.opened += 1
        self.left = {1: 2, 3: 1}.get(DyingCamera.opened, 0)

    def isOpened(self) -> bool:  # noqa: N802
        return DyingCamera.opened in (1, 3)

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((4, 4, 3), np.uint8)

    def get(self, _: int) -> float:
        return 0.0

    def release(self) -> None:
        pass


@pytest.mark.usefixtures("unchecked")
def test_a_stream_that_breaks_is_opened_again_and_ends_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DyingCamera, "opened", 0)
    monkeypatch.setattr("poseline.pose.inputs.video.open_capture", lambda _: DyingCamera())
    frames: list[int] = []
    source = LiveSource("rtsp://x", ALL, "rtsp://x", retries=2, wait_s=0)
    with pytest.raises(BackendError, match="rtsp://x: no more frames after frame 2, 2 attempts to open it again failed"):
        frames.extend(frame.frame_index for frame in source.read())
    assert frames == [0, 1, 2]


def test_sources_have_names_of_their_own(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    first, second, clip = write_image(tmp_path / "1.png"), write_image(tmp_path / "2.png"), make_clip()
    other = write_image(tmp_path / "3.png")
    sources = open_inputs([str(first), str(second), str(clip), str(second), str(other)], ALL)
    assert [source.kind for source in sources] == ["images", "video", "images"]
    assert len({source.name for source in sources}) == 3
    with pytest.raises(ConfigError, match="named twice"):
        open_inputs([str(clip), str(first), str(clip)], ALL)
