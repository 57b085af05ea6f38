from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from poseline.datasets.score import Stamp
from poseline.report.page import render
from poseline.report.scores import percent
from poseline.report.stamps import describe, differing_conditions


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_lines_stand_out_in_light_and_dark(theme: int) -> None:
    blocks = [dict(re.findall(r"--([\w-]+):(#\w{6})", block)) for block in re.findall(r"\{color-scheme:[^}]*\}", render("style.css.j2"))]
    assert len(blocks) == 3
    assert blocks[1] == blocks[2] != blocks[0]
    colours = blocks[theme]
    for ink, ground in (("ink", "bg"), ("ink", "card"), ("soft", "bg"), ("soft", "card"), ("accent", "card"), ("warn", "warn-bg"),
                        ("good", "good-bg"), ("bad", "bad-bg"), ("soft", "faint")):  # fmt: skip
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for line in range(1, 7):
        assert contrast(colours[f"s{line}"], colours["card"]) >= 3, line


def test_names_from_files_are_escaped_and_missing_names_are_errors() -> None:
    page = render("compare.html.j2", title="<script>alert(1)</script>", runs=["a&b"], comparisons=[])
    assert "<script>alert(1)" not in page
    assert "a&amp;b" in page
    with pytest.raises(UndefinedError):
        render("compare.html.j2", title="x")


def test_numbers_are_percent_with_one_decimal() -> None:
    assert [percent(value) for value in (0.65494, 0, 1, -0.0021, -0.0004, None, True)] == [
        "65.5 %", "0.0 %", "100.0 %", "\u22120.2 %", "0.0 %", "\u2013", "\u2013"
    ]  # fmt: skip


def test_a_stamp_never_hides_whose_boxes() -> None:
    assert describe(Stamp(benchmark="coco", boxes="ground_truth", flip=True)) == "ground-truth boxes, flip test"
    detected = Stamp(benchmark="coco", boxes="detections", box_ap=0.5, flip=False)
    assert describe(detected) == "detector boxes (box AP 50.0 %), no flip test"
    assert describe(Stamp(benchmark="coco")) == "boxes not stated"
    stamps = [Stamp(benchmark="coco", boxes="ground_truth"), Stamp(benchmark="coco", boxes="detections")]
    assert differing_conditions(stamps) == ["boxes: detections, ground_truth"]
    assert differing_conditions([detected, detected]) == []
