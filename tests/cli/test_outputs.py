"""Options that name what is written are refused before the work begins."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from poseline.cli import app, main
from poseline.cli.outputs import new_file, new_folder
from poseline.errors import ConfigError

WRITTEN = ("--out", "--markdown", "--junit")


def options(command: object) -> list[object]:
    """Every option of a command and of those below it that names what is written."""
    own = [parameter for parameter in command.params if set(parameter.opts) & set(WRITTEN)]  # type: ignore[attr-defined]
    return own + [option for child in getattr(command, "commands", {}).values() for option in options(child)]


def test_every_such_option_is_checked() -> None:
    found = options(get_command(app))
    assert len(found) >= 6
    assert [option.opts for option in found if option.callback is None] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("check", [new_file, new_folder])
def test_what_can_be_written_passes(tmp_path: Path, check: object) -> None:
    for name in ("new", "a/b/c", "../sibling"):
        assert check(tmp_path / name) == tmp_path / name  # type: ignore[operator]
    assert check(None) is None  # type: ignore[operator]


def test_a_file_in_place_of_a_folder_and_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert new_file(tmp_path / "file") == tmp_path / "file"
    with pytest.raises(ConfigError, match="file: is a file, expected a folder"):
        new_folder(tmp_path / "file")
    with pytest.raises(ConfigError, match="is a folder, expected the name of a file"):
        new_file(tmp_path)
    for check in (new_file, new_folder):
        with pytest.raises(ConfigError, match="file is a file"):
            check(tmp_path / "file/inside/deep")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        for check in (new_file, new_folder):
            with pytest.raises(ConfigError, match="cannot be written"):
                check(tmp_path / "new")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    [
        ["export", "--out", "{folder}"],
        ["import-weights", "x.pth", "--preset", "alphapose/fastpose-r50", "--out", "{file}"],
        ["track", "--predictions", "x.json", "--out", "{file}"],
        ["score", "--protocol", "coco", "--ground-truth", "x.json", "--predictions", "x.json", "--out", "{file}"],
        ["gate", "--markdown", "{folder}"],
        ["gate", "--junit", "{file}/x.xml"],
    ],
    ids=lambda words: words[0],
)
def test_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    (tmp_path / "file").write_text("x")
    place = {"folder": str(tmp_path), "file": str(tmp_path / "file")}
    monkeypatch.setattr(sys, "argv", ["poseline", *(word.format(**place) for word in words)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {tmp_path}")
    assert (tmp_path / "file").read_text() == "x"
