"""The one policy for files that people hand over: annotations, results, detections, of whatever format.

Every reader of the data sets reads through these functions. What they take beside the official form: UTF-8 with a byte-order mark, UTF-16
and UTF-32; whole numbers written as floats (``1.0``); result lists inside an object (``{"annotations": [...]}``); Windows separators in
file names. What they refuse, in one line: a key given twice with two values, text or true/false where a number is expected, numbers that
are not finite, ids beyond 64 bits. docs/protocols.md has the list.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from poseline.errors import DataError

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Entries: TypeAlias = list[dict[str, Json]]

RESULT_KEYS = ("annotations", "results", "predictions", "detections")
"""Keys under which an object may hold the list of results."""
_GZIP = b"\x1f\x8b"
_LARGEST = 1e300  # a number beyond is a slip that would overflow in the next product


def read_json(path: Path) -> Json:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte-order mark.

    Raises:
        DataError: no such file, unreadable, empty, compressed, cut short, not JSON, or an object that gives a key two values.
    """
    text = read_text(path, "JSON")
    if not text.strip():
        raise DataError(f"{path}: expected JSON, got an empty file. Download or draw it again.")
    try:
        content: Json = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        cut = " (the file seems cut short)" if error.pos >= len(text.rstrip()) - 1 or text.rstrip()[-1] not in "]}" else ""
        raise DataError(f"{path}: not valid JSON: {error.msg} at line {error.lineno} column {error.colno}{cut}. Fetch it again.") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (RecursionError, ValueError) as error:  # lists within lists without end; a number of thousands of digits
        raise DataError(f"{path}: not an annotation or result file ({str(error)[:60]}). Give the official file.") from None
    return content


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte-order mark.

    Raises:
        DataError: no such file, unreadable, compressed, or no text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the paths under data in params.yaml.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read as {what} ({error.strerror}). Give the official file.") from None
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        problem = "gzip-compressed: unpack it" if data.startswith(_GZIP) else "not UTF-8 text"
        raise DataError(f"{path}: cannot be read as {what} ({problem}). Give the official file.") from None


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """The object of these pairs; a key may be repeated with the same value only, for JSON does not say which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise DataError(f"the key '{key}' is given twice in one object, with different values. Keep one of them.")
    return found


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


def objects(values: Sequence[Json], *, where: str) -> Entries:
    """The entries of a list as objects; ``where`` names the list.

    Raises:
        DataError: an entry is something else.
    """
    return [expect_mapping(value, where=f"{where}: entry {index}") for index, value in enumerate(values)]


def read_entries(path: Path, *, expected: str) -> Entries:
    """The entries of a list of results, which may stand in an object under 'annotations', 'results', 'predictions' or 'detections'.

    Args:
        path: the JSON file.
        expected: what the entries are, for the error of an empty list, e.g. ``at least one detection``.

    Raises:
        DataError: unreadable, no such list, several of them, an empty one, or entries that are no objects.
    """
    content = read_json(path)
    if isinstance(content, dict):
        keys = [key for key in RESULT_KEYS if isinstance(content.get(key), list)]
        if len(keys) != 1:
            found = f"lists under {keys}" if keys else f"an object with the keys {sorted(content)[:8]}"
            raise DataError(f"{path}: expected a list, got {found}. Give a list of results, or an object with it under '{RESULT_KEYS[0]}'.")
        content = content[keys[0]]
    entries = objects(expect_list(content, where=str(path)), where=str(path))
    if not entries:
        raise DataError(f"{path}: expected {expected}, got an empty list. Predict again, or give another file.")
    return entries


def is_result_list(content: Json) -> bool:
    """Whether a file is a list of results, also one in an object; a file of images and their annotations is none."""
    if isinstance(content, dict):
        return not {"images", "annolist"} & set(content) and any(isinstance(content.get(key), list) for key in RESULT_KEYS)
    return isinstance(content, list)


def integer(entry: Mapping[str, Json], key: str, *, where: str, bits: int = 64) -> int:
    """The integer under ``key``; a float without fraction is one.

    Raises:
        DataError: missing, not a whole number, or beyond ``bits``.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int_or_none(value):
        raise DataError(f"{where}: expected an integer '{key}', got {shown(entry, key)}. Fix the file.")
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise DataError(f"{where}: expected '{key}' below 2^{bits - 1}, got {shown(entry, key)}. Fix the file.")
    return int(value)


def integers(entries: Sequence[Mapping[str, Json]], key: str, *, where: Sequence[str]) -> np.ndarray:
    """The integers under ``key``, int64 [N].

    Raises:
        DataError: as :func:`integer`.
    """
    return np.array([integer(entry, key, where=place) for entry, place in zip(entries, where, strict=True)], dtype=np.int64)


def int_or_none(value: float) -> int | None:
    """``value`` as an integer; None where it has none (NaN, infinity)."""
    return int(value) if isinstance(value, int) or math.isfinite(value) else None


def flag(entry: Mapping[str, Json], key: str, *, where: str, default: bool = False) -> bool:
    """A yes or no: true, false, 1 or 0; the default where it is absent or null.

    Raises:
        DataError: anything else.
    """
    value = entry.get(key)
    if value is None:
        return default
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise DataError(f"{where}: expected 0 or 1 for '{key}', got {shown(entry, key)}. Fix the file.")


def text(entry: Mapping[str, Json], key: str, *, where: str) -> str:
    """The string under ``key``.

    Raises:
        DataError: missing, empty or not a string.
    """
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: expected a string '{key}', got {shown(entry, key)}. Fix the file.")
    return value


def file_name(entry: Mapping[str, Json], key: str, *, where: str) -> str:
    """The file name under ``key`` with ``/`` between its folders, where Windows tools write backslashes.

    Raises:
        DataError: missing, empty, not a string, or with a character that no file name has.
    """
    name = forward_slashes(text(entry, key, where=where))
    if "\0" in name:
        raise DataError(f"{where}: expected a file name '{key}', got {shown(entry, key)}. Fix the file.")
    return name


def forward_slashes(name: str) -> str:
    r"""A file name with ``/`` between its folders.

    >>> forward_slashes("val\\a\\1.jpg")
    'val/a/1.jpg'
    """
    return name.replace("\\", "/")


def number(value: Json) -> float:
    """A number as float; NaN for anything else (null, text, true): the checks of annotations report it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if abs(value) < _LARGEST else float("nan")


def numbers(value: Json, count: int, *, where: str) -> list[float]:
    """A list of ``count`` numbers; entries that are none become NaN.

    Raises:
        DataError: no list, or of another length.
    """
    values = expect_list(value, where=where)
    if len(values) != count:
        raise DataError(f"{where}: expected {count} numbers, got {len(values)}. Fix the file.")
    return floats(values)


def floats(values: list[Json]) -> list[float]:
    """:func:`number` of every value; quick where all are numbers, as nearly always."""
    if values and set(map(type, values)) <= {int, float} and min(values) > -_LARGEST and max(values) < _LARGEST:  # type: ignore[type-var,operator]
        return list(map(float, values))  # type: ignore[arg-type]
    return [number(value) for value in values]


def finite_numbers(entries: Sequence[Mapping[str, Json]], key: str, *, where: Sequence[str]) -> Float[np.ndarray, " N"]:
    """The finite number under ``key`` of every entry.

    Raises:
        DataError: one is missing, not a number or not finite.
    """
    values = np.array([number(entry.get(key)) for entry in entries], dtype=np.float64)
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise DataError(f"{where[bad[0]]}: expected a finite number '{key}', got {shown(entries[bad[0]], key)}. Fix the file.")
    return values


def finite_matrix(entries: Sequence[Mapping[str, Json]], key: str, length: int, *, where: Sequence[str]) -> Float[np.ndarray, "N L"]:
    """The lists of ``length`` finite numbers under ``key``, a row an entry.

    Raises:
        DataError: one is missing, of another length, or holds what is no finite number.
    """
    rows = [entry.get(key) for entry in entries]
    lists: list[list[Json]] = []
    for row, place in zip(rows, where, strict=True):
        if not isinstance(row, list) or len(row) != length:
            found = f"{len(row)} numbers" if isinstance(row, list) else kind_of(row)
            expected = f"{length} numbers" + (f" ({length // 3} keypoints)" if key != "bbox" else "")
            raise DataError(f"{place}: '{key}' has {found}, expected {expected}. Fix the file or give the right skeleton.")
        lists.append(row)
    plain = set(map(type, itertools.chain.from_iterable(lists))) <= {int, float}
    try:
        values = np.array(lists if plain else [[number(value) for value in row] for row in lists], dtype=np.float64)
    except OverflowError:
        values = np.array([[number(value) for value in row] for row in lists], dtype=np.float64)
    values = values.reshape(len(lists), length)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(f"{where[bad[0]]}: '{key}' holds NaN, infinity or no number, expected finite numbers. Fix the file.")
    return values


def number_array(value: Json, *, where: str) -> Float[np.ndarray, "..."]:
    """Numbers in lists of equal lengths, however deep; may hold NaN and infinity.

    Raises:
        DataError: lists of unequal lengths, or something else than numbers in them.
    """
    layer: list[Json] = [value]
    while any(isinstance(entry, list) for entry in layer):
        layer = [inner for entry in layer for inner in (entry if isinstance(entry, list) else [entry])]
    try:
        if set(map(type, layer)) <= {int, float}:
            return np.asarray(value, dtype=np.float64)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{where}: expected numbers [people][16 joints][x, y], got lists of other lengths or kinds. Fix the file.")


def check_unique(ids: np.ndarray, what: str, *, where: str) -> None:
    """Nothing where no id occurs twice.

    Raises:
        DataError: one does.
    """
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{where}: {what} id {values[counts > 1][0]} is given {counts.max()} times, expected once. Fix the file.")


def list_folder(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, by name, without hidden ones: a Mac leaves ``._NAME`` beside each NAME, and ``__MACOSX``."""
    found = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(path for path in found if not any(is_hidden(part) for part in path.relative_to(folder).parts))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's: it begins with a dot, or is an archive's ``__MACOSX``."""
    return name.startswith(".") or name == "__MACOSX"


def shown(entry: Mapping[str, Json], key: str) -> str:
    """The value under a key for an error, shortened."""
    return repr(entry[key])[:40] if key in entry else "nothing"


def kind_of(value: Json) -> str:
    """JSON's word for the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")
