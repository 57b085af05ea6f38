"""Which video a frame belongs to, its number, and the unit of time, from the names of the frames alone.

A folder is a video. Within one, the digits that vary between the names are the counter: a plain number, a time stamp, seconds with a
fraction, or a date with a time. Digits that all names share (a date in front, a camera, a size) and tokens whose letters vary (content
hashes) are not. Where no digits count the frames, they are in natural order (2 before 10) and numbered by position. Two names never share
a number. The usual step between the numbers is one unit of time: 40 for stamps of 40 ms, 5 where every fifth frame is kept.

Every reader goes through here: PoseTrack and COCO files, lists of poses, folders of images.
"""

from __future__ import annotations

import re
from collections import Counter as Occurrences
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from statistics import median, median_low

import numpy as np
from jaxtyping import Int

from poseline.datasets.name_counters import Counter, list_counters
from poseline.errors import DataError

MAX_NUMBER = int(np.iinfo(np.int64).max)
MIN_STAMP_STEP = 16
"""Steps below this are counted exactly; above it they may be jittered time stamps."""
MAX_IRREGULARITY = 0.25
"""Median distance of the steps from the usual one, as a fraction of it, up to which digits count the frames for certain."""
CONTIGUOUS = 0.7
"""Fraction of equal steps from which a number counts the frames even where a number before it disagrees with its order."""

_DIGITS = re.compile(r"([0-9]+)")
_ENDING = re.compile(r"\.(?:[A-Za-z]{2,5}|jp2|j2k)$")


@dataclass(frozen=True)
class FrameOrder:
    """The frames of one video.

    Attributes:
        numbers: of each name, in the order of the names given.
        counted: whether the names count the frames; else the numbers are positions in natural order.
    """

    numbers: tuple[int, ...]
    counted: bool

    def describe(self) -> str:
        """What was understood.

        >>> FrameOrder((0, 40, 80), counted=True).describe()
        '3 frames, step 40'
        """
        return describe_frames(self.numbers) + ("" if self.counted else ", no counter in their names: in natural order")


def split_name(name: str) -> tuple[str, str]:
    r"""Folder and base name of a frame; both kinds of separators separate.

    >>> split_name("clips\\left/0003.jpg"), split_name("./0003.jpg")
    (('clips/left', '0003.jpg'), ('', '0003.jpg'))
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts[:-1]), parts[-1] if parts else ""


def name_videos(folders: Iterable[str]) -> dict[str, str]:
    """A name for each folder: its last part, or as many last parts as tell it from the others, joined by ``_``.

    >>> name_videos(["val/000522_test", "a/img", "b/img"])
    {'val/000522_test': '000522_test', 'a/img': 'a_img', 'b/img': 'b_img'}
    """
    parts = {folder: folder.split("/") for folder in dict.fromkeys(folders)}
    names: dict[str, str] = {}
    for folder, own in parts.items():
        shared = [other for key, other in parts.items() if key != folder]
        depth = next((d for d in range(1, len(own) + 1) if all(other[-d:] != own[-d:] for other in shared)), len(own))
        names[folder] = "_".join(own[-depth:])
    if len(set(names.values())) < len(names):
        return {folder: folder.replace("_", "__").replace("/", "_") for folder in names}
    return names


def natural_key(name: str) -> tuple[tuple[str | int, ...], ...]:
    """What natural order sorts by: text without case and numbers by value, folder by folder.

    >>> sorted(["b/1.jpg", "a10.jpg", "A2.jpg", "b/2/1.jpg"], key=natural_key)
    ['A2.jpg', 'a10.jpg', 'b/1.jpg', 'b/2/1.jpg']
    """
    folder, base = split_name(name)
    return tuple(
        tuple(int(chunk) if place % 2 else chunk for place, chunk in enumerate(_DIGITS.split(path.casefold())))
        for path in (folder, _ENDING.sub("", base))
    )


def number_frames(names: Sequence[str], *, where: str, places: Mapping[str, str] | None = None) -> FrameOrder:
    """The numbers of the frames of one video.

    Args:
        names: of the frames, in any order; the same name is the same frame.
        where: names the video in errors.
        places: where in it a name is first found, for errors.

    Raises:
        DataError: two names that count as one (1.jpg and 01.jpg, 1.jpg and 1.png), or a name without a number among numbered ones.
    """
    unique = list(dict.fromkeys(map(_normal, names)))
    stems = [_ENDING.sub("", name) for name in unique]
    counter = _choose_counter(stems)
    if counter is None:
        _check_distinct(unique, where)
        _check_numbered(unique, stems, where, places or {})
        order = {name: place for place, name in enumerate(sorted(unique, key=natural_key))}
        values = [order[name] for name in unique]
    else:
        values = list(counter.values)
    by_name = dict(zip(unique, values, strict=True))
    return FrameOrder(tuple(by_name[_normal(name)] for name in names), counter is not None)


def usual_step(numbers: Sequence[int]) -> int:
    """The step between successive frames that is one unit of time: the most common one, or the median of jittered stamps.

    Where the steps follow no rule (frames listed only where somebody was seen) it is their greatest common divisor.

    >>> usual_step([0, 40, 80, 160]), usual_step([0, 33, 67, 100, 167]), usual_step([3, 5, 6, 11, 14]), usual_step([7])
    (40, 33, 1, 1)
    """
    ordered = sorted({int(number) for number in numbers})
    steps = [after - before for before, after in pairwise(ordered)]
    if not steps:
        return 1
    counts = Occurrences(steps)
    common = min(counts, key=lambda step: (-counts[step], step))
    if 2 * counts[common] >= len(steps):
        return common
    for unit in (median_low(steps), *sorted(counts)[:8]):
        near = [step for step in steps if step > unit / 2 and abs(step / unit - round(step / unit)) <= 0.15]
        if unit >= MIN_STAMP_STEP and len(near) >= 0.9 * len(steps):
            return unit
    return gcd(*steps)


def count_steps(numbers: Sequence[int]) -> list[int]:
    """Rising frame numbers in units of their usual step; numbers whose usual step is 1, or that do not rise, are left as they are.

    >>> count_steps([1704412800000, 1704412800040, 1704412800120]), count_steps([3, 4, 6])
    ([0, 1, 3], [3, 4, 6])
    """
    unit = usual_step(numbers)
    if unit == 1 or any(after <= before for before, after in pairwise(numbers)):
        return [int(number) for number in numbers]
    steps = [max((2 * (int(after) - int(before)) + unit) // (2 * unit), 1) for before, after in pairwise(numbers)]
    counts: Int[np.ndarray, " N"] = np.cumsum([0, *steps])
    return [int(count) for count in counts[: len(numbers)]]


def describe_frames(numbers: Sequence[int]) -> str:
    """How many frames there are, and their usual step.

    >>> describe_frames([0, 1, 2])
    '3 frames, step 1'
    """
    return f"{len(set(numbers))} frame{'s' * (len(set(numbers)) != 1)}, step {usual_step(numbers)}"


def describe_videos(videos: dict[str, Sequence[int]]) -> list[str]:
    """One line a video; one line for all where many videos have the same step.

    >>> describe_videos({"a": [0, 40, 80]})
    ['a: 3 frames, step 40']
    """
    steps = {usual_step(numbers) for numbers in videos.values()}
    if len(videos) > 8 and len(steps) == 1:
        return [f"{len(videos)} videos, {sum(map(len, videos.values()))} frames, step {steps.pop()}"]
    return [f"{name}: {describe_frames(numbers)}" for name, numbers in videos.items()]


def _normal(name: str) -> str:
    """A frame's name with one kind of separators."""
    return "/".join(filter(None, split_name(name)))


def _choose_counter(stems: list[str]) -> Counter | None:
    """The counter that varies regularly; among several, or where none does, the plainer one of smaller steps. None: nothing counts."""
    found = [counter for counter in list_counters(stems) if _counts(counter)]
    return min(found, key=lambda counter: (_is_irregular(counter.values), counter.size, _mean_step(counter.values)), default=None)


def _counts(counter: Counter) -> bool:
    """Whether the values can number the frames: all different, in int64, and in no conflict with a number before them.

    A number before that repeats (a scene, the seconds before milliseconds) is in conflict where the counter's order does not keep it
    rising; only a number that counts without gaps may do that (frames of two cameras in turn), unless it merely swaps blocks.
    """
    values = counter.values
    if len(set(values)) < len(values) or max(values) > MAX_NUMBER:
        return False
    order = np.argsort(np.asarray(values, dtype=np.int64), kind="stable")
    steps = [after - before for before, after in pairwise(sorted(values))]
    for before in counter.before:
        groups = [before[place] for place in order]
        if len(set(groups)) == len(groups) or all(a <= b for a, b in pairwise(groups)):
            continue
        changes = sum(a != b for a, b in pairwise(groups))
        if changes < len(set(groups)) or steps.count(min(steps)) < CONTIGUOUS * len(steps):
            return False
    return True


def _is_irregular(values: Sequence[int]) -> bool:
    """Whether the steps differ so much from the usual one that the digits may have been drawn; a counter with gaps is regular."""
    steps = [after - before for before, after in pairwise(sorted(values))]
    usual = median(steps) if steps else 1
    return bool(steps) and median(abs(step - usual) for step in steps) > MAX_IRREGULARITY * usual


def _mean_step(values: Sequence[int]) -> float:
    return (max(values) - min(values)) / max(len(values) - 1, 1)


def _check_distinct(names: list[str], where: str) -> None:
    """Refuse names that natural order does not tell apart."""
    keys: dict[tuple[tuple[str | int, ...], ...], str] = {}
    for name in names:
        if (other := keys.setdefault(natural_key(name), name)) != name:
            raise DataError(f"{where}: '{other}' and '{name}' would be the same frame. Name every frame once, with its own number.")


def _check_numbered(names: list[str], stems: list[str], where: str, places: Mapping[str, str]) -> None:
    """Refuse a name without any digit among names that are counted."""
    numbered = [stem for stem in stems if _DIGITS.search(split_name(stem)[1])]
    if len(numbered) == len(stems) or not numbered or _choose_counter(numbered) is None:
        return
    odd = next(name for name, stem in zip(names, stems, strict=True) if stem not in numbered)
    raise DataError(f"{places.get(odd, where)}: expected a frame number in every name, got '{odd}'. Number the frames, or leave it out.")
