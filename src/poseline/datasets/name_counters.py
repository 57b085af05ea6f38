"""The numbers in the names of a video's frames that could count them: digits, seconds with a fraction, dates with a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

_TOKEN = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"[0-9]+")
_DATE_TIME = re.compile(
    r"(?<![0-9])((?:19|20|21)\d\d)(?P<date>[^0-9]?)(\d\d)(?P=date)(\d\d)"
    r"[^0-9]{0,3}(\d\d)(?P<time>[^0-9]?)(\d\d)(?:(?P=time)|m)(\d\d)(?:(?P<point>[.,_:-]?)(?P<fraction>\d{1,9}))?(?![0-9])"
)
_DECIMAL = re.compile(r"(?<![0-9A-Za-z.])([0-9]+)([._-])([0-9]+)(?![0-9A-Za-z]|\.[0-9])")
_TIME = re.compile(
    r"(?<![0-9])([01]\d|2[0-3])(?P<time>[^0-9A-Za-z])([0-5]\d)(?P=time)([0-5]\d)(?:(?P<point>[.,])(?P<fraction>\d{3,9}))?(?![0-9]|[^\W0-9_])"
)
EPOCH_DIGITS = 10
"""Digits of a time in seconds since 1970."""

Values = tuple[int, ...]


@dataclass(frozen=True)
class Counter:
    """One number in each of some names.

    Attributes:
        values: a number a name.
        before: the varying numbers to the left of it in the names.
        size: how many digits of the names it takes up: of two counters the simpler one is preferred.
    """

    values: Values
    before: tuple[Values, ...] = ()
    size: int = 1


def list_counters(stems: Sequence[str]) -> list[Counter]:
    """Every number that varies between the names (folders and file endings taken off), as it could count them.

    A name alone is counted by its last whole number. Digits inside a date with a time, or behind the point of a decimal number, do not
    count by themselves.

    >>> [counter.values for counter in list_counters(["walk_0003_480p", "walk_0012_480p"])]
    [(3, 12)]
    >>> [counter.values for counter in list_counters(["12_00_59.5", "12_01_00.0"])]
    [(43259, 43260), (5, 0)]
    """
    if len(stems) == 1:
        return _lone_counter(stems[0])
    found: dict[Values, Counter] = {}
    composed = [one for one in (_date_times(stems), _decimals(stems)) if one is not None]
    inside = [spans for _, spans in composed]
    for counter, _ in composed:
        found.setdefault(counter.values, counter)
    for side in (_aligned(stems, from_right=False), _aligned(stems, from_right=True)):
        columns = [(values, spans) for values, spans in side if len(set(values)) > 1]
        for place, (values, spans) in enumerate(columns):
            if any(all(low <= a and b <= high for (a, b), (low, high) in zip(spans, taken, strict=True)) for taken in inside):
                continue
            found.setdefault(values, Counter(values, tuple(before for before, _ in columns[:place])))
    return list(found.values())


_Spans = list[tuple[int, int]]


def _lone_counter(stem: str) -> list[Counter]:
    """The number of the only frame of a video: its last token of digits alone, else its last digits."""
    whole = [token for token in _TOKEN.findall(stem.rpartition("/")[2]) if _DIGITS.fullmatch(token)]
    digits = whole or _DIGITS.findall(stem.rpartition("/")[2])
    return [Counter((int(digits[-1]),))] if digits else []


def _aligned(stems: Sequence[str], *, from_right: bool) -> Iterator[tuple[Values, _Spans]]:
    """The digits at each place where the tokens of all names have the same letters, with where they stand in each name."""
    tokens = [list(_TOKEN.finditer(stem)) for stem in stems]
    shortest = min(map(len, tokens))
    for place in range(shortest):
        column = [own[len(own) - shortest + place] if from_right else own[place] for own in tokens]
        if len({_DIGITS.sub("0", match[0]).casefold() for match in column}) > 1:
            continue
        digits = [[(match.start() + one.start(), match.start() + one.end()) for one in _DIGITS.finditer(match[0])] for match in column]
        for number in range(len(digits[0])):
            spans = [own[number] for own in digits]
            yield tuple(int(stem[a:b]) for stem, (a, b) in zip(stems, spans, strict=True)), spans


def _date_times(stems: Sequence[str]) -> tuple[Counter, _Spans] | None:
    """Dates with a time as fractions of a second since 1970, where they vary by a second or more; the digits they take up."""
    pattern = _DATE_TIME if _DATE_TIME.search(stems[0]) else _TIME
    found = [match for stem in stems if (match := pattern.search(stem)) is not None]
    fields = [place for place in range(1, pattern.groups + 1) if place not in pattern.groupindex.values()]
    seconds = [_seconds([int(match[place]) for place in fields]) for match in found]
    if len(found) < len(stems) or None in seconds or len(set(seconds)) == 1:
        return None
    whole_seconds = [one for one in seconds if one is not None]
    fractions = [match["fraction"] or "" for match in found]
    width = max(map(len, fractions))
    # A fraction of varying length stands behind a point; behind another sign it is a counter of its own.
    apart = any(match["point"] in ("_", "-", ":") for match in found)
    if width and apart and (len({len(text) for text in fractions}) > 1 or _counts_on(whole_seconds, fractions)):
        fractions, width = [""] * len(found), 0
        spans = [(match.start(), match.end(fields[-1])) for match in found]
    else:
        spans = [match.span() for match in found]
    values = tuple(whole * 10**width + int(text.ljust(width, "0") or 0) for whole, text in zip(whole_seconds, fractions, strict=True))
    return Counter(values, size=2), spans


def _seconds(fields: list[int]) -> int | None:
    """Seconds since 1970 of a date with a time, or since midnight of a time; None where there is no such date."""
    year, month, day, hour, minute, second = [1970, 1, 1, *fields][-6:]
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _counts_on(seconds: list[int], fractions: list[str]) -> bool:
    """Whether the digits behind the seconds count on from one second to the next, without gaps: no fraction does."""
    ordered = sorted(zip(seconds, map(int, fractions), strict=True))
    return all(after[1] == before[1] + 1 for before, after in pairwise(ordered))


def _decimals(stems: Sequence[str]) -> tuple[Counter, _Spans] | None:
    """Whole numbers with a fraction (1305031102.175304), and seconds since 1970 with nanoseconds (1704412800_40123456)."""
    matches = [_DECIMAL.search(stem) for stem in stems]
    found = [match for match in matches if match is not None]
    if len(found) < len(stems) or len({match[2] for match in found}) > 1:
        return None
    wholes, fractions = [match[1] for match in found], [match[3] for match in found]
    widths = {len(text) for text in fractions}
    padded = all(len(text) == min(widths) for text in fractions if text.startswith("0"))
    if len(set(wholes)) == 1 and (len(widths) == 1 or padded):
        return None
    if found[0][2] == ".":
        texts = [text.ljust(max(widths), "0") for text in fractions]
    elif {len(text) for text in wholes} == {EPOCH_DIGITS} and max(widths) <= 9 and (len(widths) == 1 or max(widths) > 6):
        texts = fractions if len(widths) == 1 else [text.rjust(9, "0") for text in fractions]
    else:
        return None
    values = tuple(int(whole + text) for whole, text in zip(wholes, texts, strict=True))
    return Counter(values, size=2), [match.span() for match in found]
