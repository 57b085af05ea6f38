"""Line charts as inline SVG: colours come from the page's style sheet, so that one drawing serves light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 272
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 26, 40
MAX_DOTS = 40


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: for the legend.
        x, y: its points, in order.
        dashed: told apart without colour.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what it shows, with its unit.
        low, high: its ends; from the data where not given.
        percent: values are fractions, shown x 100.
        whole: ticks at whole numbers only.
    """

    label: str
    low: float | None = None
    high: float | None = None
    percent: bool = False
    whole: bool = False

    def show(self, value: float) -> str:
        """A value as text.

        >>> Axis("AP", percent=True).show(0.6549), Axis("loss").show(0.0021)
        ('65.5 %', '0.0021')
        """
        return f"{100 * value:.1f} %" if self.percent else f"{value:.4g}"


@dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes:
        svg: the drawing.
        legend: (name, class of its colour, dashed) of each line.
        header, rows: the same values as a table.
    """

    title: str
    svg: Markup
    legend: tuple[tuple[str, str, bool], ...]
    header: tuple[str, ...] = field(default=())
    rows: tuple[tuple[str, ...], ...] = field(default=())


def line_chart(title: str, series: Sequence[Series], x_axis: Axis, y_axis: Axis, *, mark_x: float | None = None) -> Chart:
    """Lines over a common axis, with ticks, a hover text on each point and the values as a table.

    Args:
        title: what the chart shows, for those who cannot see it.
        series: at most six lines of the palette's colours.
        x_axis: horizontal.
        y_axis: vertical.
        mark_x: where a vertical line stands, e.g. the threshold that a headline number is taken at.
    """
    lines = [line for line in series if len(line.x)]
    x_low, x_high, x_ticks = scale_axis([value for line in lines for value in line.x], x_axis)
    y_low, y_high, y_ticks = scale_axis([value for line in lines for value in line.y], y_axis)

    def place_x(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(place_y(tick), tick_text(tick, y_axis)) for tick in y_ticks]
    parts += [_x_tick(place_x(tick), tick_text(tick, x_axis)) for tick in x_ticks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_axis.label)}</text>')
    parts.append(f'<text class="axis" x="4" y="13">{escape(y_axis.label)}</text>')
    if mark_x is not None:
        parts.append(f'<line class="mark" x1="{place_x(mark_x):.1f}" x2="{place_x(mark_x):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for index, line in enumerate(lines):
        parts.append(_line(line, index, [(place_x(x), place_y(y)) for x, y in zip(line.x, line.y, strict=True)], x_axis, y_axis))
    label = f"{title}: {', '.join(line.name for line in lines)}; {y_axis.label} over {x_axis.label}"
    svg = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    legend = tuple((line.name, f"s{index + 1}", line.dashed) for index, line in enumerate(lines))
    return Chart(title, Markup(svg), legend, *_table(lines, x_axis, y_axis))


def scale_axis(values: Sequence[float], axis: Axis) -> tuple[float, float, list[float]]:
    """Ends of an axis and its ticks at round numbers."""
    low = axis.low if axis.low is not None else min(values, default=0.0)
    high = axis.high if axis.high is not None else max(values, default=1.0)
    if high <= low:
        high = low + 1.0
    step = tick_step(high - low, whole=axis.whole)
    if axis.low is None and not axis.whole:
        low = math.floor(low / step + 1e-9) * step
    if axis.high is None and not axis.whole:
        high = math.ceil(high / step - 1e-9) * step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return low, high, [round(index * step, 10) for index in range(first, last + 1)]


def tick_step(span: float, *, whole: bool = False, count: int = 5) -> float:
    """A round step that gives about ``count`` ticks: 1, 2 or 5 times a power of ten.

    >>> tick_step(1.0), tick_step(209, whole=True), tick_step(3, whole=True)
    (0.2, 50.0, 1.0)
    """
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return max(step, 1.0) if whole else step


def tick_text(value: float, axis: Axis) -> str:
    """A tick's label, shorter than a value's."""
    return f"{100 * value:.3g} %" if axis.percent else f"{value:.3g}"


def _grid(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
    )


def _x_tick(x: float, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'


def _line(line: Series, index: int, points: Sequence[tuple[float, float]], x_axis: Axis, y_axis: Axis) -> str:
    name = f"s{index + 1}"
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    drawn = f'<path class="line {name}{" dashed" if line.dashed else ""}" d="{path}"/>'
    every = max(1, math.ceil(len(points) / MAX_DOTS))
    dot = "dot" if len(points) <= MAX_DOTS else "dot quiet"
    for place, (x, y) in list(enumerate(points))[::every]:
        text = f"{line.name}: {y_axis.show(line.y[place])} at {x_axis.label} {x_axis.show(line.x[place])}"
        drawn += f'<circle class="{dot} {name}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(text)}</title></circle>'
    return drawn


def _table(lines: Sequence[Series], x_axis: Axis, y_axis: Axis) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    places = sorted({x for line in lines for x in line.x})
    places = places[:: max(1, math.ceil(len(places) / MAX_DOTS))]
    values = [dict(zip(line.x, line.y, strict=True)) for line in lines]
    rows = tuple((x_axis.show(x), *(y_axis.show(known[x]) if x in known else "\u2013" for known in values)) for x in places)
    return (x_axis.label, *(line.name for line in lines)), rows
