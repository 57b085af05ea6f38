"""Scores as text tables: fractions in percent, intervals beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poseline.datasets.score import Interval, Score, Stamp
    from poseline.evaluation.compare import MetricComparison, ScoreComparison

VERDICT_COLUMNS = ("", "first", "second", "difference", "95 % interval", "verdict")
# In the JSON, but no table for the eye.
LEFT_OUT = ("protocol", "reasons", "poses", "calibration", "score_quality")
LEFT_OUT_INSIDE = ("worst", "mode", "counts", "videos", "switch_events", "similarity")


def format_scores(score: Score) -> str:
    """The metrics with their intervals, then every table below them."""
    rows = [[name, _cell(value), _interval(score.intervals.get(name))] for name, value in score.metrics.items()]
    blocks = [_describe(score.protocol), format_table(["", "%", "95 % interval" if score.intervals else ""], rows)]
    blocks.append(_reasons(score.reasons or {}))
    tree = score.to_json()
    blocks += [_section(key, value) for key, value in tree.items() if isinstance(value, Mapping) and key not in LEFT_OUT]
    return "\n\n".join(block for block in blocks if block)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right.

    >>> print(format_table(["", "%"], [["ap", "61.20"], ["pckh", "9.00"]]))
              %
    ap    61.20
    pckh   9.00
    """
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _describe(stamp: Stamp) -> str:
    counts = [f"{count} {word}" for count, word in ((stamp.num_images, "images"), (stamp.num_people, "people")) if count]
    mode = [f"mode {stamp.mode}"] if stamp.mode else []
    return ", ".join([stamp.benchmark, *mode, *counts])


def _reasons(reasons: Mapping[str, str]) -> str:
    """A line for each reason why metrics have no value."""
    names = {reason: [name for name, own in reasons.items() if own == reason] for reason in reasons.values()}
    return "\n".join(f"no value for {', '.join(own)}: {reason}" for reason, own in names.items())


def _section(name: str, values: Mapping[str, object]) -> str:
    """A table of one section: a row an entry; entries that are tables themselves follow under names of their own."""
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping) and key not in LEFT_OUT_INSIDE}
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and key not in LEFT_OUT_INSIDE}
    blocks = [format_table([name, ""], [[key, _cell(value)] for key, value in plain.items()])] if plain else []
    deep = {key: value for key, value in inner.items() if any(isinstance(entry, Mapping) for entry in value.values())}
    blocks += [_section(f"{name}: {key}", value) for key, value in deep.items()]
    flat = {key: value for key, value in inner.items() if key not in deep}
    if flat and plain:
        blocks += [_section(f"{name}: {key}", value) for key, value in flat.items()]
    elif flat:
        columns = list(dict.fromkeys(column for row in flat.values() for column in row))
        blocks.append(format_table([name, *columns], [[key, *(_cell(row.get(column)) for column in columns)] for key, row in flat.items()]))
    return "\n\n".join(blocks)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if isinstance(value, float) else str(value)


def _interval(ends: Interval | None) -> str:
    return "" if ends is None else f"[{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"


def format_comparison(comparison: ScoreComparison) -> str:
    """One score of two runs: conditions, a row a metric with the verdict, and the errors that grew."""
    lines = [f"{comparison.score}: {comparison.second.describe()}"]
    if comparison.unlike:
        lines.append(f"DIFFERENT PROTOCOLS ({'; '.join(comparison.unlike)}): these numbers do not rank the runs.")
    if comparison.model:
        lines.append(f"Models: {'; '.join(comparison.model)}.")
    for side, stamp in (("first", comparison.first), ("second", comparison.second)):
        if stamp.stale:
            lines.append(f"The {side} run is stale: {stamp.stale}.")
    if comparison.unstated:
        lines.append(f"Not known to be alike: {'; '.join(comparison.unstated)}.")
    if comparison.verdicts:
        whole = comparison.verdicts[0].result
        lines.append(format_table([*VERDICT_COLUMNS, f"{whole.unit} needed"], [_verdict_row(verdict) for verdict in comparison.verdicts]))
        lines.append(f"{whole.num_images} {whole.unit}, paired bootstrap.")
    elif comparison.untested:
        rows = [[name, f"{100 * a:.2f}", f"{100 * b:.2f}", f"{100 * (b - a):+.2f}"] for name, (a, b) in comparison.untested.items()]
        lines.append(format_table(VERDICT_COLUMNS[:4], rows))
        lines.append("No table of images or videos of both runs is at hand: nothing is said of what these differences mean.")
    if comparison.grown:
        lines.append(f"Errors that grew: {', '.join(comparison.grown)}.")
    return "\n".join(lines)


def _verdict_row(comparison: MetricComparison) -> list[str]:
    result = comparison.result
    needed = "" if comparison.verdict != "cannot tell" or comparison.images_needed is None else str(comparison.images_needed)
    interval = f"[{100 * result.low:+.2f}, {100 * result.high:+.2f}]"
    values = [f"{100 * result.first:.2f}", f"{100 * result.second:.2f}", f"{100 * result.difference:+.2f}"]
    return [result.metric, *values, interval, comparison.verdict, needed]
