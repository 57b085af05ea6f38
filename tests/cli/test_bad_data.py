"""Faulty data through the command line: a finding or a one-line error, and no half-written artifact."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poseline.cli import main

COCO = Path("data/mini/coco/annotations/person_keypoints_val2017.json")


def run_validate(monkeypatch: pytest.MonkeyPatch, tiny: tuple[str, ...], *more: str) -> int:
    sets = [part for override in (*tiny, *more) for part in ("--set", override)]
    monkeypatch.setattr(sys, "argv", ["poseline", "validate", *sets])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def edit(change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    content = json.loads(COCO.read_text())
    change(content)
    COCO.write_text(json.dumps(content))


def first_person(content: dict) -> dict:  # type: ignore[type-arg]
    return next(person for person in content["annotations"] if person["num_keypoints"] and not person["iscrowd"])


def duplicate_id(content: dict) -> None:  # type: ignore[type-arg]
    content["annotations"].append(dict(content["annotations"][0]))


def box_outside(content: dict) -> None:  # type: ignore[type-arg]
    first_person(content)["bbox"] = [900.0, 900.0, 20.0, 20.0]


def unlisted_picture(content: dict) -> None:  # type: ignore[type-arg]
    first_person(content)["image_id"] = 424242


def nan_keypoint(content: dict) -> None:  # type: ignore[type-arg]
    first_person(content)["keypoints"][0] = float("nan")


def nobody(content: dict) -> None:  # type: ignore[type-arg]
    content["annotations"] = []


@pytest.mark.parametrize("change", [duplicate_id, box_outside, unlisted_picture, nan_keypoint, nobody])
def test_faults_in_the_content_are_findings(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    change: Callable[[dict], None],  # type: ignore[type-arg]
) -> None:  # fmt: skip
    before = Path("data/validated/coco/findings.json").read_bytes()
    edit(change)
    assert run_validate(monkeypatch, tiny) == 1
    error = capsys.readouterr().err
    assert "coco val" in error
    assert "Traceback" not in error
    assert Path("data/validated/coco/findings.json").read_bytes() == before, "a failed validation must not replace its findings"


@pytest.mark.parametrize("text", ["", '{"images": [', "[]", "not json"])
def test_a_damaged_annotation_file_is_one_line(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    COCO.write_text(text)
    assert run_validate(monkeypatch, tiny) == 2
    error = capsys.readouterr().err.strip()
    assert COCO.name in error
    assert len(error.splitlines()) == 1


def test_a_wrong_number_of_keypoints_is_one_line(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lambda content: first_person(content)["keypoints"].pop())
    assert run_validate(monkeypatch, tiny) == 2
    error = capsys.readouterr().err.strip()
    assert "keypoints" in error
    assert len(error.splitlines()) == 1


def test_missing_and_corrupt_pictures_are_findings(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted(Path("data/mini/coco/val2017").glob("*.jpg"))
    pictures[0].unlink()
    pictures[1].write_bytes(b"not a picture")
    assert run_validate(monkeypatch, tiny) == 1
    error = capsys.readouterr().err
    assert "image_id" in error
    assert str(int(pictures[0].stem)) in error


def test_a_missing_folder_says_which(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_validate(monkeypatch, tiny, "data.sets.coco.annotations=nowhere") == 2
    error = capsys.readouterr().err.strip()
    assert "nowhere" in error
    assert len(error.splitlines()) == 1


def test_an_unknown_skeleton_lists_the_known_ones(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_validate(monkeypatch, tiny, "data.skeleton=coco18") == 2
    assert "union21" in capsys.readouterr().err
