"""What goes wrong, as the page shows it: kinds of keypoint errors, what each costs, and what the scores promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poseline.datasets.score import Score
from poseline.report.charts import Axis, Chart, Series, line_chart
from poseline.report.scores import Cell, Table, bar_cell, percent

# Kind -> (place in the palette, what it is).
KINDS = {
    "good": (3, "on the spot"),
    "jitter": (1, "near the right place"),
    "inversion": (4, "on the person's other side"),
    "swap": (2, "on another person"),
    "miss": (5, "on no body part that fits"),
}
CAUSES = {
    "jitter": "jitter corrected", "inversion": "left and right corrected", "swap": "swaps between people corrected",
    "miss": "misses corrected", "background": "poses on no person dropped", "duplicates": "second poses of a person dropped",
    "missed": "people missed not counted", "scores": "poses in the best order",
}  # fmt: skip
PROMISES = (("keypoint scores", "fraction at similarity 0.5 or more"), ("pose scores", "mean OKS"))
"""What keypoint scores and pose scores promise."""


@dataclass(frozen=True)
class Share:
    """A part of a stacked bar: fraction, colour's place in the palette, hover text."""

    share: float
    colour: int
    text: str


@dataclass(frozen=True)
class StackTable:
    """Keypoints with stacked bars of the kinds of errors.

    Attributes:
        caption: its words.
        legend: (kind, colour's place in the palette, meaning).
        rows: (keypoint, parts, distance that half of the predictions stay within, in words).
    """

    caption: str
    legend: tuple[tuple[str, int, str], ...]
    rows: tuple[tuple[str, tuple[Share, ...], str], ...]


def kinds_table(score: Score) -> StackTable | None:
    """Kinds of errors of each keypoint and of all; None where the score has no diagnosis."""
    if score.diagnosis is None:
        return None
    rows = [("all keypoints", make_shares("all keypoints", score.diagnosis.shares), "")]
    for key, entry in score.diagnosis.keypoints.items():
        name = key.replace("_", " ")
        counts = {kind: float(getattr(entry, kind)) for kind in KINDS}
        rows.append((name, make_shares(name, counts), percent(entry.distance_50)))
    caption = (
        "Kinds of errors per keypoint, of the people found, ground-truth boxes. Distance: what half of the predictions stay within, "
        "over the root of the person's area."
    )
    return StackTable(caption, tuple((kind, colour, meaning) for kind, (colour, meaning) in KINDS.items()), tuple(rows))


def make_shares(name: str, amounts: Mapping[str, float]) -> tuple[Share, ...]:
    """The parts of one stacked bar; empty where there is nothing to share.

    >>> [part.share for part in make_shares("nose", {"good": 3.0, "miss": 1.0})]
    [0.75, 0.25]
    """
    total = sum(amounts.values())
    if not total:
        return ()
    return tuple(
        Share(amounts[kind] / total, colour, f"{name}: {percent(amounts[kind] / total)} {kind}, {meaning}")
        for kind, (colour, meaning) in KINDS.items()
        if amounts.get(kind)
    )


def gain_table(score: Score) -> Table | None:
    """AP that correcting each kind of error alone would give back; None without a diagnosis."""
    if score.diagnosis is None or not score.diagnosis.ap_gain:
        return None
    gains = score.diagnosis.ap_gain
    order = sorted(gains, key=lambda name: -gains[name])
    rows = tuple((CAUSES.get(name, name), (signed_cell(gains[name]),)) for name in order)
    return Table("AP that each correction alone would give back, in points of a hundred", ("correction", "AP gained"), rows, (3,))


def signed_cell(value: float) -> Cell:
    """A difference of fractions in points, with its sign and bar."""
    text = percent(value, unit=False)
    return Cell(text if value < 0 or text == "0.0" else f"+{text}", bar_cell(value).share)


def reliability_chart(score: Score) -> tuple[Chart, str] | None:
    """What scores promise against what happens, with the calibration errors in words; None without such a section."""
    if score.calibration is None:
        return None
    series, words = [], []
    for measured, (name, outcome) in zip((score.calibration.keypoint_scores, score.calibration.pose_scores), PROMISES, strict=True):
        bins = [(entry.score, entry.outcome) for entry in measured.bins if entry.score is not None and entry.outcome is not None]
        series.append(Series(f"{name}: {outcome}", [x for x, _ in bins], [y for _, y in bins]))
        words.append(f"expected calibration error of {name} {percent(measured.ece)}")
    series.append(Series("a perfect score", [0.0, 1.0], [0.0, 1.0], dashed=True))
    if score.score_quality is not None and score.score_quality.rank_correlation is not None:
        words.append(f"rank correlation of pose score and OKS {score.score_quality.rank_correlation:.2f}")
    x_axis, y_axis = (Axis(label, low=0.0, high=1.0, percent=True) for label in ("score", "outcome"))
    text = "; ".join(words)
    return line_chart("What the scores promise, ground-truth boxes", series, x_axis, y_axis), f"{text[:1].upper()}{text[1:]}."
