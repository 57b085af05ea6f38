"""Reading JSON annotation files with errors that say where, what was expected, what was found and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from poseline.errors import DataError

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def read_json(path: Path) -> Json:
    """The content of a JSON file.

    Raises:
        DataError: no such file, unreadable, empty, cut short or not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the paths under data in params.yaml.") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: cannot be read as JSON ({problem}). Give the official annotation file.") from None
    if not text.strip():
        raise DataError(f"{path}: expected JSON, got an empty file. Download or draw it again.")
    try:
        content: Json = json.loads(text)
    except json.JSONDecodeError as error:
        cut = " (the file seems cut short)" if error.pos >= len(text.rstrip()) - 1 or text.rstrip()[-1] not in "]}" else ""
        raise DataError(f"{path}: not valid JSON: {error.msg} at line {error.lineno} column {error.colno}{cut}. Fetch it again.") from None
    return content


def expect_mapping(value: Json, *, where: str) -> dict[str, Json]:
    """``value`` as a mapping.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, got {kind_of(value)}. Give a file in the official form.")
    return value


def expect_list(value: Json, *, where: str) -> list[Json]:
    """``value`` as a list.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: expected a list, got {kind_of(value)}. Give a file in the official form.")
    return value


def section(content: Mapping[str, Json], key: str, *, where: str) -> list[Json]:
    """The list under ``key``.

    Raises:
        DataError: the key is missing or no list.
    """
    if key not in content:
        raise DataError(f"{where}: expected the key '{key}', got {sorted(content)[:8]}. Give a file in the official form.")
    return expect_list(content[key], where=f"{where}: '{key}'")


def integer(entry: Mapping[str, Json], key: str, *, where: str) -> int:
    """The integer under ``key``.

    Raises:
        DataError: missing, or not a whole number.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int_or_none(value):
        found = "nothing" if key not in entry else repr(value)
        raise DataError(f"{where}: expected an integer '{key}', got {found}. Fix the file.")
    return int(value)


def int_or_none(value: float) -> int | None:
    """``value`` as an integer; None where it has none (NaN, infinity)."""
    return int(value) if np.isfinite(value) else None


def text(entry: Mapping[str, Json], key: str, *, where: str) -> str:
    """The string under ``key``.

    Raises:
        DataError: missing, empty or not a string.
    """
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        found = "nothing" if key not in entry else repr(value)
        raise DataError(f"{where}: expected a string '{key}', got {found}. Fix the file.")
    return value


def number(value: Json) -> float:
    """A number as float; NaN where the file has none (null, text)."""
    return float(value) if isinstance(value, int | float) else float("nan")


def numbers(value: Json, count: int, *, where: str) -> list[float]:
    """A list of ``count`` numbers; entries that are none become NaN.

    Raises:
        DataError: no list, or of another length.
    """
    values = expect_list(value, where=where)
    if len(values) != count:
        raise DataError(f"{where}: expected {count} numbers, got {len(values)}. Fix the file.")
    return [number(entry) for entry in values]


def kind_of(value: Json) -> str:
    """JSON's word for the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")
