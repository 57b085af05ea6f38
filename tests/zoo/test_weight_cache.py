"""Weights from a real server on this machine: resumed, checked, refused, and by two processes at once."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from poseline.cli import app
from poseline.errors import ArtifactError, ConfigError, FindingsError
from poseline.zoo import download as downloads
from poseline.zoo import weight_cache
from poseline.zoo.weight_files import WeightFile, find_entry, load_catalogue

CONTENT = np.random.default_rng(0).bytes(1_500_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at every path.

    Attributes:
        ranges: whether ranges are honoured.
        breaks: how many answers break off half-way.
        asked: the Range header of each request.
    """

    ranges, breaks, content, daemon_threads = True, 0, CONTENT, True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/net.onnx"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.server.asked.append(span)
        if "missing" in self.path:
            self.send_error(404)
            return
        body, start = self.server.content, 0
        if span and self.server.ranges:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        body = body[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the server's log would drown the tests' output."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield found
        found.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSELINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("POSELINE_MIRROR", raising=False)
    return tmp_path / "weights"


def entry_at(url: str | None, **changes: object) -> WeightFile:
    given = {"name": "net", "task": "pose", "file": "net.onnx", "url": url, "origin": "a test", "sha256": SHA, **changes}
    return WeightFile.model_validate(given)


def test_a_file_is_fetched_checked_and_kept(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = weight_cache.download(entry_at(server.url), progress=lambda have, total: seen.append((have, total)))
    assert path == cache / "net.onnx"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert weight_cache.download(entry_at(server.url)) == path
    assert server.asked == [None]  # the second time nothing is asked for
    assert not list(cache.glob("*.part"))


def test_a_broken_transfer_goes_on_where_it_broke_off(server: Server, cache: Path) -> None:
    server.breaks = 2
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=750000-", "bytes=1125000-"]


def test_a_server_without_ranges_sends_all_again(server: Server) -> None:
    server.breaks, server.ranges = 1, False
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=750000-"]


def test_broken_off_too_often_keeps_the_part_for_the_next_run(server: Server, cache: Path) -> None:
    server.breaks = 99
    with pytest.raises(ArtifactError, match=r"broke off after \d+ bytes, 4 times .* Run it again: it goes on there") as caught:
        weight_cache.download(entry_at(server.url))
    assert "\n" not in str(caught.value)
    there = (cache / "net.onnx.part").stat().st_size
    assert there > len(CONTENT) / 2
    server.breaks = 0
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={there}-"


def test_a_part_that_is_whole_is_taken(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "net.onnx.part").write_bytes(CONTENT)
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "net.onnx.part").write_bytes(b"\0" * 1000)
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]
    (cache / "net.onnx").unlink()
    (cache / "net.onnx.part").write_bytes(b"\0" * 2 * len(CONTENT))
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_kept(server: Server, cache: Path) -> None:
    with pytest.raises(ArtifactError, match=f"expected SHA-256 {'0' * 64}, got {SHA}. The file was not kept") as caught:
        weight_cache.download(entry_at(server.url, sha256="0" * 64))
    assert str(cache / "net.onnx") in str(caught.value)
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_the_publishers_first_digits_are_checked(server: Server) -> None:
    with pytest.raises(ArtifactError, match="expected SHA-256 00000000, got"):
        weight_cache.download(entry_at(server.url, sha256=None, sha256_prefix="00000000"))
    found = entry_at(server.url, sha256=None, sha256_prefix=SHA[:8])
    weight_cache.download(found)
    assert weight_cache.check_file(found).state == "verified"


def test_without_a_published_hash_the_first_download_is_noted(server: Server, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    unknown = entry_at(server.url, sha256=None)
    weight_cache.download(unknown)
    assert f"SHA-256 {SHA} is noted" in caplog.text
    assert json.loads((cache / "hashes.json").read_text()) == {"net.onnx": SHA}
    assert weight_cache.check_file(unknown).state == "noted"
    (cache / "net.onnx").write_bytes(b"changed")
    with pytest.raises(ArtifactError, match=f"expected SHA-256 {SHA}, got"):
        weight_cache.get_file(unknown)


def test_an_archive_is_checked_and_unpacked(server: Server, tmp_path: Path, cache: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/end2end.onnx", CONTENT)
        archive.writestr("deep/readme.txt", "hello")
    server.content = (tmp_path / "a.zip").read_bytes()
    packed = {"member": "*end2end.onnx", "sha256": hashlib.sha256(server.content).hexdigest()}
    assert weight_cache.download(entry_at(server.url, **packed)).read_bytes() == CONTENT
    assert not list(cache.glob("*.zip"))
    (cache / "net.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"expected one file like \*\.pth, found 0"):
        weight_cache.download(entry_at(server.url, **{**packed, "member": "*.pth"}))
    server.content = CONTENT
    with pytest.raises(ArtifactError, match="not a zip archive"):
        weight_cache.download(entry_at(server.url, member="*.onnx", sha256=None))


def test_offline_says_which_file_to_put_where(cache: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        weight_cache.download(entry_at("http://127.0.0.1:9/net.onnx"))
    for part in ("cannot be reached", "http://127.0.0.1:9/net.onnx", str(cache / "net.onnx"), SHA[:16], "POSELINE_MIRROR"):
        assert part in str(caught.value)
    with pytest.raises(ArtifactError, match=r"the server answers 404"), Server() as lonely:
        threading.Thread(target=lonely.serve_forever, daemon=True).start()
        weight_cache.download(entry_at(lonely.url + "/missing"))
    with pytest.raises(ArtifactError, match=r"nobody publishes this file. Put the file at"):
        weight_cache.download(entry_at(None))
    with pytest.raises(ArtifactError, match=r"its weights are not here. Run `poseline weights get net`, or put the file from"):
        weight_cache.get_file(entry_at("http://127.0.0.1:9/net.onnx"))


def test_a_mirror_is_a_folder_or_an_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("POSELINE_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(ArtifactError, match=r"POSELINE_MIRROR: .*net\.onnx is not there"):
        weight_cache.download(entry_at("http://127.0.0.1:9/"))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/net.onnx").write_bytes(CONTENT)
    assert weight_cache.download(entry_at("http://127.0.0.1:9/")).read_bytes() == CONTENT
    (cache / "net.onnx").unlink()
    (tmp_path / "mirror/net.onnx").rename(tmp_path / "mirror/net_256.onnx")
    (tmp_path / "mirror/another.onnx").write_bytes(b"another network")
    assert weight_cache.download(entry_at("http://127.0.0.1:9/")).read_bytes() == CONTENT
    (cache / "net.onnx").unlink()
    monkeypatch.setenv("POSELINE_MIRROR", server.url.removesuffix("/net.onnx"))
    assert weight_cache.get_file(entry_at(None)).read_bytes() == CONTENT, "with a mirror, what is used is fetched"


def test_a_full_disk_is_one_line(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_copy", full)
        with pytest.raises(ArtifactError, match=f"{cache}: the disk is full. Make room"):
            weight_cache.download(entry_at(server.url))
    with monkeypatch.context() as patch:
        patch.setattr(downloads.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
        with pytest.raises(ArtifactError, match="the disk is full"):
            weight_cache.download(entry_at(server.url))
    assert weight_cache.download(entry_at(server.url)).read_bytes() == CONTENT


def test_two_processes_fetch_once(server: Server, cache: Path) -> None:
    code = (
        "import sys; from poseline.zoo.weight_cache import download; from poseline.zoo.weight_files import WeightFile; "
        f"print(download(WeightFile(name='net', task='pose', file='net.onnx', url={server.url!r}, origin='', sha256={SHA!r})))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [str(cache / "net.onnx")] * 2
    assert server.asked == [None]
    assert (cache / "net.onnx").read_bytes() == CONTENT


def test_an_unwritable_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSELINE_WEIGHTS", str(tmp_path / "file/deep"))
    with pytest.raises(ArtifactError, match=r"cannot be written .* Set POSELINE_WEIGHTS"):
        weight_cache.download(entry_at("http://127.0.0.1:9/net.onnx"))


def test_the_commands(server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["weights", "list"], catch_exceptions=False).stdout
    assert all(name in listed for name in load_catalogue())
    assert len(json.loads(runner.invoke(app, ["weights", "list", "--json"]).stdout)) == len(load_catalogue())
    shown = runner.invoke(app, ["weights", "info", "ultralight"], catch_exceptions=False).stdout
    assert "licence                not known" in shown
    monkeypatch.setenv("POSELINE_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/yolox_m.onnx").write_bytes(CONTENT)
    got = json.loads(runner.invoke(app, ["weights", "get", "yolox-m", "--json"], catch_exceptions=False).stdout)
    assert got == [{"name": "yolox-m", "file": str(cache / "yolox_m.onnx"), "state": "noted", "sha256": SHA}]
    assert "is as first downloaded" in runner.invoke(app, ["weights", "verify"], catch_exceptions=False).stdout
    (cache / "yolox_m.onnx").write_bytes(b"damage")
    failed = runner.invoke(app, ["weights", "verify", "yolox-m"])
    assert isinstance(failed.exception, FindingsError)
    assert f"expected SHA-256 {SHA}" in failed.stdout
    assert isinstance(runner.invoke(app, ["weights", "get", "yolox-z"]).exception, ConfigError)


def test_every_entry_of_the_catalogue_says_what_it_must() -> None:
    from poseline.infer.detectors.spec import parse_detector_spec
    from poseline.infer.onnx_spec import parse_pose_spec

    for entry in load_catalogue().values():
        assert entry.url is None or entry.url.startswith("https://")
        assert (entry.ap is None) == (entry.protocol is None), entry.name
        assert entry.sha256 is None or entry.sha256_from, f"{entry.name}: who states the hash?"
        if entry.kind == "torchvision":
            assert entry.file in str(entry.url)
            assert entry.sha256_prefix in entry.file
        elif entry.task == "detector":
            parse_detector_spec(dict(entry.spec), entry.name)
        else:
            assert parse_pose_spec(dict(entry.spec), entry.name).saved.num_keypoints == 17
    with pytest.raises(ConfigError, match=r"no name of the catalogue. Closest: movenet-thunder"):
        find_entry("movenet-thundr")
