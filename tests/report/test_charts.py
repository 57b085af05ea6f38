from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from poseline.report.charts import HEIGHT, WIDTH, Axis, Series, line_chart, scale_axis, tick_step


def drawn(**axis: object) -> ElementTree.Element:
    series = [Series("a & b", [0.0, 0.5, 1.0], [0.2, 0.4, 0.9]), Series("<c>", [0.0, 1.0], [0.1, 0.3], dashed=True)]
    return ElementTree.fromstring(line_chart("Title", series, Axis("recall"), Axis("precision", **axis)).svg)  # type: ignore[arg-type]


def test_a_chart_is_well_formed_labelled_and_inside_its_frame() -> None:
    svg = drawn(low=0.0, high=1.0, percent=True)
    texts = [element.text for element in svg.iter("text")]
    assert {"recall", "precision", "0 %", "100 %"} <= set(texts)
    assert "a & b" in svg.attrib["aria-label"]
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT
    assert len(list(svg.iter("path"))) == 2
    assert next(svg.iter("circle"))[0].text == "a & b: 20.0 % at recall 0"


def test_higher_values_are_drawn_higher_and_later_ones_further_right() -> None:
    circles = list(drawn(low=0.0, high=1.0).iter("circle"))[:3]
    places = [(float(circle.attrib["cx"]), float(circle.attrib["cy"])) for circle in circles]
    assert places[0][0] < places[1][0] < places[2][0]
    assert places[0][1] > places[1][1] > places[2][1]


def test_the_table_has_every_value_and_a_dash_where_a_line_has_none() -> None:
    chart = line_chart("t", [Series("a", [1, 2], [0.5, 0.6]), Series("b", [2], [0.7])], Axis("epoch", whole=True), Axis("AP", percent=True))
    assert chart.header == ("epoch", "a", "b")
    assert chart.rows == (("1", "50.0 %", "\u2013"), ("2", "60.0 %", "70.0 %"))


@pytest.mark.parametrize(
    ("values", "axis"), [([], Axis("x")), ([3.0], Axis("x")), ([1.0, 1.0], Axis("x", whole=True)), ([-0.4, 0.2], Axis("x"))]
)
def test_an_axis_always_has_a_span_and_ticks_inside_it(values: list[float], axis: Axis) -> None:
    low, high, ticks = scale_axis(values, axis)
    assert low < high
    assert ticks
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert all(low <= value <= high for value in values)


def test_whole_axes_have_no_broken_ticks() -> None:
    assert tick_step(2, whole=True) == 1
    assert scale_axis([1, 2, 3], Axis("epoch", whole=True))[2] == [1, 2, 3]
