"""Two people who cross, and one who leaves for two seconds and comes back: ids through the whole run, boxes from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("squares")
RATE, SIZE_WH = 25, (320, 120)
AWAY = range(110, 110 + 2 * RATE)


def places(t: int) -> list[tuple[float, float, float, float]]:
    """Boxes of the two at frame ``t``: they meet in the middle at frame 40."""
    first, second = 20 + 3.0 * min(t, 80), 260 - 3.0 * min(t, 80)
    return [(first, 20, first + 36, 110), (second, 24, second + 36, 114)]


def draw(t: int) -> np.ndarray:
    """RGB: a red and a blue figure on a grey wall with some marks on it; the red one is in front, and away for a while."""
    image = np.full((SIZE_WH[1], SIZE_WH[0], 3), 110, np.uint8)
    for x in range(0, SIZE_WH[0], 23):
        cv2.rectangle(image, (x, (x * 7) % 90), (x + 9, (x * 7) % 90 + 14), (90 + x % 60,) * 3, -1)
    for number, (x1, y1, x2, y2) in reversed(list(enumerate(places(t)))):
        if number or t not in AWAY:
            cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), [(200, 40, 40), (40, 60, 200)][number], -1)
    return image


def run(call: Callable[..., int], clip: Path, out: Path) -> list[list[int | None]]:
    """Ids of the two in each frame, None where one is not found."""
    boxes = {}
    for t in range(200):
        first, second = places(t)
        hidden = abs(first[0] - second[0]) < 14
        boxes[str(t)] = [[*first, 0.9]] * (t not in AWAY) + [[*second, 0.9]] * (not hidden)
    (clip.parent / "boxes.json").write_text(json.dumps(boxes))
    assert call(clip, "--model", "m", "--detector", clip.parent / "boxes.json", "--out", out) == 0
    ids = []
    for t, line in enumerate((out / "poses.jsonl").read_text().splitlines()):
        found = {round(person["bbox"][1]): person["track_id"] for person in json.loads(line)["people"]}
        ids.append([found.get(round(box[1])) for box in places(t)])
    return ids


def switches(ids: list[list[int | None]]) -> int:
    """Times that someone is found under another id than before."""
    count = 0
    for person in zip(*ids, strict=True):
        known = [track_id for track_id in person if track_id is not None]
        count += sum(a != b for a, b in pairwise(known))
    return count


def test_ids_stay_when_people_cross_and_when_one_comes_back(
    make_clip: Callable[..., Path], call: Callable[..., int], tmp_path: Path
) -> None:  # fmt: skip
    clip = make_clip("cross.avi", [draw(t) for t in range(200)], rate=RATE)
    ids = run(call, clip, tmp_path / "out")
    assert switches(ids[:110]) == 0
    # Who was away for longer than the tracker remembers comes back as somebody new: one switch, and no more.
    assert switches(ids) <= 1
