"""The help: commands in the order of the pipeline, whole summaries, --debug everywhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from calling import call
from typer.main import get_command

from poseline.cli import app, main

REPOSITORY = Path(__file__).resolve().parents[2]


def walk(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


PATHS = sorted(walk(get_command(app)))


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["poseline", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return capsys.readouterr().out


def listed(text: str) -> list[str]:
    return re.findall(r"^  ([a-z][a-z-]*)  ", text.partition("Commands:\n")[2], flags=re.MULTILINE)


def test_commands_come_in_the_order_of_the_pipeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stages = list(yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"])
    names = listed(shown(monkeypatch, capsys, "--help"))
    assert [name for name in names if name in stages] == stages
    assert sorted(names) == sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_summary_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: tuple[str, ...]) -> None:
    text = shown(monkeypatch, capsys, *path, "--help")
    assert max(map(len, text.splitlines())) <= 80
    commands = " ".join(text.partition("Commands:\n")[2].split())
    assert "..." not in commands
    assert "…" not in commands
    for name, command in getattr(find(path), "commands", {}).items():
        assert f"{name} {' '.join(str(command.help).partition(chr(10) * 2)[0].split())}" in commands


def find(path: tuple[str, ...]) -> object:
    command: object = get_command(app)
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    return command


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_debug_stands_in_the_help_and_is_taken_before_and_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: tuple[str, ...]
) -> None:
    for place in range(len(path) + 1):
        text = shown(monkeypatch, capsys, *path[:place], "--debug", *path[place:], "--help")
        assert "--debug" in text
        assert text.startswith(f"Usage: {' '.join(('poseline', *path))}")


@pytest.mark.parametrize("arguments", [["--debug", "train"], ["train", "--debug"]])
def test_debug_shows_the_traceback_in_either_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "--params FILE" in error.splitlines()[-1]
