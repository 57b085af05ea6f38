"""What goes wrong before or during a run: one line, exit code 2 or 3, and nothing lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_squares import draw_frame

from poseline.pose.inputs.base import Source
from poseline.pose.inputs.video import LiveSource

Call = Callable[..., int]
NAMED = ("--model", "m", "--detector", "d")


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was printed on stderr (FFmpeg's own remarks aside)."""
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, printed.err
    assert "Traceback" not in printed.err
    return lines[0]


def write_image(folder: Path, name: str = "a.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), draw_frame(0))
    return folder / name


INPUTS = {
    "no such file": ("nothing.mp4", "no such file or folder"),
    "a folder without images": ("empty", "no image or video in this folder"),
    "a file that is no video": ("notes.mp4", "expected an image or a video, got 9 bytes"),
    "an empty file": ("zero.mp4", "expected an image or a video, got 0 bytes"),
    "a file of another kind": ("model.bin", "expected an image or a video"),
    "a video of which only the start is left": ("start.mp4", "expected an image or a video"),
    "a pattern without matches": ("none*.png", "nothing matches this pattern"),
    "an empty list": ("empty.txt", "an empty list"),
    "a list of files that are not there": ("list.txt", "line 2: gone.png: no such file"),
    "only broken images": ("broken", "no frame could be read"),
    "a pipe without its form": ("-", "raw frames from standard input need their form"),
}


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("name", INPUTS)
def test_inputs(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    make_clip: Callable[..., Path],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("notes.mp4").write_text("my notes\n")
    Path("zero.mp4").write_text("")
    Path("model.bin").write_bytes(bytes(range(256)))
    Path("empty.txt").write_text("# nothing\n")
    Path("list.txt").write_text("# files\ngone.png\n")
    Path("start.mp4").write_bytes(make_clip("whole.mp4").read_bytes()[:2000])
    write_image(Path("broken")).write_bytes(b"\x89PNG")
    argument, message = INPUTS[name]
    assert call(argument, *NAMED, "--out", "out") == 2
    assert message in error_line(capsys)
    assert not Path("out/coco.json").exists()


OPTIONS = {
    "start": (["--start", "soon"], "--start: expected a frame number"),
    "range": (["--start", "99"], "the range of --start, --stop and --stride holds none"),
    "roi": (["--roi", "1,2,3"], "--roi: expected X,Y,WIDTH,HEIGHT"),
    "outside": (["--roi", "900,900,10,10"], "lies outside an image of 160x96"),
    "raw": (["--raw", "big"], "--raw: expected WIDTHxHEIGHT"),
    "format": (["--format", "coca"], "Did you mean 'coco'?"),
    "track": (["--track", "bytetrack"], "track: kind: unknown kind 'bytetrack'. Choose one of bytepose"),
    "set": (["--set", "track.bytepose.hihg_score=1"], "hihg_score"),
    "pipeline's": (["--set", "track.video=true"], "only `poseline track` uses track.video. Leave it out."),
    "other's": (["--set", "track.poseflow.start_score=0.5"], "the tracker is bytepose. Leave it out, or choose with --track poseflow."),
    "smooth": (["--track", "none", "--smooth", "savgol"], "go along tracks"),
    "offline": (["--track", "none", "--offline"], "go along tracks"),
    "trc": (["--track", "none", "--format", "trc"], "Add --track bytepose"),
}


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_clip: Callable[..., Path]) -> None:
    options, message = OPTIONS[name]
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", *options) == 2
    assert message in error_line(capsys)


@pytest.mark.parametrize(("model", "detector", "code", "message"), [
    ("no-such-net", "whole", 2, "no-such-net"),
    ("nowhere.onnx", "whole", 2, "nowhere.onnx"),
    ("movenet-thunder", "whole", 2, "movenet-thunder: its weights are not here. Put the file at"),
    ("yolox-nano", "whole", 2, "a detector, expected a pose network"),
    ("MODEL", "no-such-detector", 2, "no-such-detector"),
    ("MODEL", "movenet-thunder", 2, "a pose network, expected a detector"),
    ("MODEL", "yolox-nano", 2, "yolox-nano: its weights are not here. Run `poseline weights get yolox-nano`"),
    ("MODEL", "nowhere.onnx", 2, "nowhere.onnx"),
    ("MODEL", "nowhere.json", 2, "nowhere.json"),
    ("EMPTY", "whole", 2, "model.json"),
])  # fmt: skip
def test_networks(
    model: str, detector: str, code: int, message: str, call: Call, finished_project: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("POSELINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    named = {"MODEL": str(finished_project / "data/model"), "EMPTY": str(tmp_path / "folder")}
    assert call(write_image(tmp_path), "--model", named.get(model, model), "--detector", detector, "--out", tmp_path / "out") == code
    assert message in error_line(capsys)


def test_a_camera_that_is_not_there(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("63", *NAMED, "--out", tmp_path / "out") == 3
    assert "camera 63: no such camera" in error_line(capsys)


def test_a_stream_that_is_not_there(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rtsp://127.0.0.1:9/x", *NAMED, "--out", tmp_path / "out") == 3
    assert "the stream cannot be opened" in error_line(capsys)


class Camera:
    """Five frames, and then it is gone."""

    left = 5

    def isOpened(self) -> bool:  # noqa: N802
        return Camera.left > 0

    def grab(self) -> bool:
        Camera.left -= 1
        return Camera.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, draw_frame(4 - Camera.left)[..., ::-1]

    def get(self, _: int) -> float:
        return 25.0

    def release(self) -> None:
        pass


@pytest.mark.usefixtures("squares", "unchecked")
def test_a_stream_that_dies_keeps_its_results(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr(Camera, "left", 5)
    monkeypatch.setattr("poseline.pose.inputs.video.open_capture", lambda _: Camera())

    def open_live(text: str, window: object, _: object) -> Source:
        return LiveSource(text, window, text, wait_s=0)  # type: ignore[arg-type]

    monkeypatch.setattr("poseline.pose.inputs.listing._open_live", open_live)
    out = tmp_path / "out"
    assert call("rtsp://door", *NAMED, "--out", out, "--format", "coco", "--format", "images") == 3
    assert "no more frames after frame 4" in error_line(capsys)
    assert [json.loads(line)["frame_index"] for line in (out / "poses.jsonl").read_text().splitlines()] == list(range(5))
    assert len(json.loads((out / "coco.json").read_text())) == 10
    assert len(list((out / "images").iterdir())) == 5
    assert json.loads((out / "summary.json").read_text())["frames"] == 5


@pytest.mark.usefixtures("squares")
def test_broken_videos_in_a_folder_do_not_stop_the_others(
    call: Call, tmp_path: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    clip = make_clip("in.avi")
    (tmp_path / "in").mkdir()
    clip.rename(tmp_path / "in/b.avi")
    for name in ("a.mp4", "c.mp4"):
        (tmp_path / "in" / name).write_text("no video")
    assert call(tmp_path / "in", *NAMED, "--out", tmp_path / "out") == 2
    assert "a.mp4: expected an image or a video" in error_line(capsys)
    assert len((tmp_path / "out/poses.jsonl").read_text().splitlines()) == 40


@pytest.mark.usefixtures("squares")
@pytest.mark.parametrize("what", ["file", "readonly"])
def test_an_output_that_cannot_be_written(
    what: str, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    out = tmp_path / "out"
    if what == "file":
        out.write_text("a file is in the way")
    else:
        out.mkdir()
        real = Path.open

        def refuse(self: Path, *arguments: object, **more: object) -> object:
            if self.name == "poses.jsonl":
                raise PermissionError(13, os.strerror(13))
            return real(self, *arguments, **more)  # type: ignore[arg-type, call-overload]

        monkeypatch.setattr(Path, "open", refuse)
    assert call(write_image(tmp_path), *NAMED, "--out", out) == 2
    assert ("is a file, expected a folder" if what == "file" else "cannot be written") in error_line(capsys)
