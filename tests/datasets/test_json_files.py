"""JSON files: errors say where, what was expected and what was found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from poseline.datasets.json_files import expect_list, expect_mapping, integer, number, numbers, read_json, section, text
from poseline.errors import DataError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, got an empty file"),
        (b'{"a": [1, 2', "the file seems cut short"),
        (b"{'a': 1}", "not valid JSON: .* at line 1 column 2"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(tmp_path / "a.json")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_json(tmp_path)


def test_content_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, null, "x"]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, None, "x"]}


def test_types_are_named() -> None:
    with pytest.raises(DataError, match="here: expected an object, got a list"):
        expect_mapping([], where="here")
    with pytest.raises(DataError, match="here: expected a list, got null"):
        expect_list(None, where="here")
    with pytest.raises(DataError, match=r"here: expected the key 'images', got \['annotations'\]"):
        section({"annotations": []}, "images", where="here")
    with pytest.raises(DataError, match="here: 'images': expected a list, got a string"):
        section({"images": "x"}, "images", where="here")


@pytest.mark.parametrize("value", [True, 1.5, "1", None, math.nan, math.inf])
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="here: expected an integer 'id'"):
        integer({"id": value}, "id", where="here")  # type: ignore[dict-item]


def test_whole_floats_are_integers_and_a_missing_one_is_said_so() -> None:
    assert integer({"id": 3.0}, "id", where="here") == 3
    with pytest.raises(DataError, match="expected an integer 'id', got nothing"):
        integer({}, "id", where="here")


def test_strings_and_numbers() -> None:
    assert text({"name": "a"}, "name", where="here") == "a"
    with pytest.raises(DataError, match="expected a string 'name', got ''"):
        text({"name": ""}, "name", where="here")
    assert math.isnan(number(None))
    assert numbers([1, 2.5], 2, where="here") == [1.0, 2.5]
    with pytest.raises(DataError, match="here: expected 3 numbers, got 2"):
        numbers([1, 2], 3, where="here")
