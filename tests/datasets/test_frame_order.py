"""Frames from names: which digits count them, which video they belong to, and the unit of time."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseline.datasets.frame_order import count_steps, describe_videos, name_videos, number_frames, split_name, usual_step
from poseline.errors import DataError

START = datetime(2024, 1, 5, 23, 59, 59, 800_000)


def digest(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def moment(number: int) -> datetime:
    """A frame's time at 25 frames a second; a second, a minute and a day begin among the first six."""
    return START + timedelta(milliseconds=40 * number)


NAMES = {
    "plain": lambda t: f"{t}.jpg",
    "number alone": str,
    "zeros": lambda t: f"{t:06d}.png",
    "size behind": lambda t: f"walk_{t:04d}_480p.jpg",
    "camera and date in front": lambda t: f"cam12_20240105_{t}.jpg",
    "hash behind": lambda t: f"walk_{t:04d}_jpg.rf.{digest(t)}.jpg",
    "hash in front": lambda t: f"{digest(t)}_{t}.jpg",
    "random number behind": lambda t: f"{t:03d}_{t * 7919 % 1000003:07d}.jpg",
    "number of all behind": lambda t: f"frame{t}of200.jpg",
    "scene and frame": lambda t: f"scene_01_frame_{t:04d}.jpg",
    "endings of several kinds": lambda t: f"{t:03d}.{('jpg', 'PNG', 'jpeg')[t % 3]}",
    "upper and lower case": lambda t: f"{('IMG', 'img')[t % 2]}_{t:04d}.jpg",
    "words of several lengths": lambda t: f"{('left side', 'right')[t % 2]}-{t}.jpg",
    "milliseconds": lambda t: f"{1704412800000 + 40 * t}.jpg",
    "nanoseconds": lambda t: f"{1704412800000000000 + 40_000_000 * t}.png",
    "seconds and microseconds": lambda t: f"{1305031102 + t // 25}.{t % 25 * 40000:06d}.png",
    "seconds and nanoseconds": lambda t: f"{1704412800 + t // 25}_{t % 25 * 40_000_000}.png",
    "float seconds": lambda t: f"{1704412800 + t / 25}.png",
    "date and time": lambda t: moment(t).strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3] + ".jpg",
    "date and time without separators": lambda t: moment(t).strftime("%Y%m%d%H%M%S%f") + ".jpg",
    "a phone's name": lambda t: moment(t).strftime("PXL_%Y%m%d_%H%M%S%f")[:-3] + ".jpg",
    "ISO, no fraction on the second": lambda t: moment(t).isoformat() + ".jpg",
    "burst in several seconds": lambda t: f"IMG_20240105_{120001 + t // 3:06d}_{t:03d}.jpg",
    "every fifth": lambda t: f"{5 * t}.jpg",
}
WITH_GAP = sorted(set(NAMES) - {"burst in several seconds"})


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_the_counter_is_found_in_any_order_and_gaps_are_counted_in_steps(kind: str, seed: int) -> None:
    times = [t for t in range(40) if t not in ((7, 8, 21) if kind in WITH_GAP else ())]
    shuffled = np.random.default_rng(seed).permutation(times).tolist()
    found = number_frames([NAMES[kind](t) for t in shuffled], where="v")
    assert found.counted
    steps = dict(zip(sorted(found.numbers), count_steps(sorted(found.numbers)), strict=True))
    first = steps[min(found.numbers)]
    assert [steps[number] - first for number in found.numbers] == shuffled


def test_a_counter_and_a_size_behind_a_date_are_no_time_of_day() -> None:
    assert number_frames([f"cam12_2024-01-05_{t:04d}_1080p.jpg" for t in range(12)], where="v").numbers == tuple(range(12))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["b.jpg", "a.jpg", "c.jpg"], [1, 0, 2]),
        ([f"cam{c}_{t}.jpg" for c in (2, 1) for t in (1, 2, 10)], [3, 4, 5, 0, 1, 2]),
        ([f"{t:02d}-{s}.jpg" for t in (2, 1) for s in (1, 2)], [2, 3, 0, 1]),
        (["1.jpg", "9" * 25 + ".jpg", "8" * 25 + ".jpg"], [0, 2, 1]),
    ],
)
def test_names_without_one_counter_are_in_natural_order(names: list[str], order: list[int]) -> None:
    found = number_frames(names, where="v")
    assert not found.counted
    assert list(found.numbers) == order
    assert "in natural order" in found.describe()


def test_digits_below_a_larger_unit_do_not_count_by_themselves() -> None:
    names = [f"12-00-{s:02d}-{f:02d}.jpg" for s, f in ((1, 23), (1, 24), (2, 0), (2, 1))]
    assert list(number_frames(names, where="v").numbers) == [0, 1, 2, 3]


@pytest.mark.parametrize("pair", [("1.jpg", "01.jpg"), ("1.jpg", "1.png"), ("A.jpg", "a.jpg")])
def test_two_names_never_share_a_frame(pair: tuple[str, str]) -> None:
    with pytest.raises(DataError, match=f"v: '{pair[0]}' and '{pair[1]}' would be the same frame"):
        number_frames(pair, where="v")


def test_a_name_without_a_number_among_numbered_ones_is_refused() -> None:
    with pytest.raises(DataError, match=r"entry 2: expected a frame number in every name, got 'cover\.jpg'"):
        number_frames(["1.jpg", "2.jpg", "cover.jpg"], where="v", places={"cover.jpg": "entry 2"})


@given(st.lists(st.text("ab019_.-/ ", min_size=1, max_size=12), min_size=1, max_size=8))
def test_any_names_get_numbers_of_their_own_or_an_error(names: list[str]) -> None:
    try:
        found = number_frames(names, where="v")
    except DataError:
        return
    keys = ["/".join(filter(None, split_name(name))) for name in names]
    assert len(set(found.numbers)) == len(set(keys))
    assert all(0 <= number < 2**63 for number in found.numbers)
    assert len(set(zip(keys, found.numbers, strict=True))) == len(set(keys))


@given(st.integers(1, 10**12), st.lists(st.integers(1, 4), min_size=4, max_size=40), st.integers(0, 10**6))
def test_the_unit_of_time_is_the_usual_step(unit: int, gaps: list[int], start: int) -> None:
    if 2 * gaps.count(1) <= len(gaps):
        gaps = [1] * (len(gaps) + 1) + gaps
    places = np.cumsum([0, *gaps])
    numbers = [start + unit * int(place) for place in places]
    assert usual_step(numbers) == unit
    steps = count_steps(numbers)
    assert [step - steps[0] for step in steps] == places.tolist()


def test_jittered_stamps_and_sparse_frames() -> None:
    rng = np.random.default_rng(0)
    places = np.delete(np.arange(200), [20, 21, 90])
    stamps = (1_704_412_800_000_000_000 + places * 33_333_333 + rng.integers(-2_000_000, 2_000_000, len(places))).tolist()
    assert count_steps(stamps) == places.tolist()
    assert count_steps([2, 4, 7, 8, 13, 15, 19]) == [2, 4, 7, 8, 13, 15, 19]
    assert count_steps([80, 40, 0]) == [80, 40, 0], "frames out of order are left for the tracker to refuse"


def test_folders_are_videos_whatever_their_separators() -> None:
    assert split_name("a\\b/0001.jpg") == split_name("./a/b/0001.jpg") == ("a/b", "0001.jpg")
    assert name_videos(["val/a", "val/b"]) == {"val/a": "a", "val/b": "b"}
    assert name_videos(["a/img", "b/img"]) == {"a/img": "a_img", "b/img": "b_img"}
    assert len(set(name_videos(["a_b", "x/a/b", "y/a/b", "a/b", "b"]).values())) == 5


def test_many_videos_of_one_step_are_one_line() -> None:
    assert describe_videos({f"v{i}": range(0, 30, 3) for i in range(9)}) == ["9 videos, 90 frames, step 3"]
    assert describe_videos({"a": [0, 40, 80], "b": [5]}) == ["a: 3 frames, step 40", "b: 1 frame, step 1"]
