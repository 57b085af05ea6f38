"""Scores as the page shows them: headline cards, tables with bars, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from poseline.datasets.score import KeypointRow, Metrics, NotScored, Score
from poseline.datasets.scored_sets import SetScore
from poseline.report.charts import Axis, Chart, Series, line_chart
from poseline.report.stamps import describe_boxes, describe_conditions

NO_VALUE = "\u2013"
SLICE_NAMES = {
    "all": "all people", "medium": "medium (32² to 96² px²)", "large": "large (above 96² px²)",
    "occluded_none": "nothing occluded", "occluded_some": "up to a third occluded", "occluded_heavy": "more than a third occluded",
    "people_1": "alone in the image", "people_2_to_4": "2 to 4 people", "people_5_up": "5 people and more",
    "crowd_easy": "crowd index up to 0.1", "crowd_medium": "crowd index 0.1 to 0.8", "crowd_hard": "crowd index above 0.8",
}  # fmt: skip
SLICE_GROUPS = {"Size": ("medium", "large"), "Occlusion": ("occluded_none", "occluded_some", "occluded_heavy"),
                "People in the image": ("people_1", "people_2_to_4", "people_5_up"),
                "Crowding": ("crowd_easy", "crowd_medium", "crowd_hard")}  # fmt: skip
JOINT_ORDER = ("head_top", "upper_neck", "thorax", "shoulder", "elbow", "wrist", "pelvis", "hip", "knee", "ankle")
VIDEO_FRACTIONS = (("mota", "MOTA"), ("map", "mAP"), ("motp", "MOTP"), ("precision", "prec."), ("recall", "recall"), ("hota", "HOTA"),
                   ("idf1", "IDF1"))  # fmt: skip
VIDEO_COUNTS = (("switches", "switches"),)
PERSON_FRACTIONS = (("hota", "HOTA"), ("deta", "DetA"), ("assa", "AssA"), ("idf1", "IDF1"), ("person_mota", "MOTA of whole people"))
STRICT_FRACTIONS = (("mota", "MOTA of joints, strict"), ("motp", "MOTP of joints, strict"))
PERSON_COUNTS = (("switches", "id switches"), ("fragmentations", "fragmentations"), ("mostly_tracked", "people mostly tracked"),
                 ("partially_tracked", "people partly tracked"), ("mostly_lost", "people mostly lost"))  # fmt: skip
METRIC_NAMES = {
    "ap": "AP", "ap50": "AP .50", "ap75": "AP .75", "ap_medium": "AP medium", "ap_large": "AP large", "ar": "AR", "ar50": "AR .50",
    "ar75": "AR .75", "ar_medium": "AR medium", "ar_large": "AR large",
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """One headline number.

    Attributes:
        name: of the number.
        value: a fraction; None where it is not defined.
        interval: of 95 % over resampled images (videos for PoseTrack), fractions; None where none was made.
        boxes, detected: whose boxes, and whether a detector's.
        conditions: the other terms of its protocol.
        meaning: what it counts, in one sentence.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    boxes: str
    detected: bool
    conditions: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Cell:
    """One table cell: a text, and a bar of the length ``share`` (0..1) beside it; ``plain`` cells have no place for a bar."""

    text: str
    share: float | None = None
    plain: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose cells may carry bars.

    Attributes:
        caption, header: its words; the header counts the names' column.
        rows: (name, cells); a row without cells is a heading of those below it.
        colours: place in the palette of each column's bars.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    colours: tuple[int, ...] = (1, 2)


def percent(value: object, *, unit: bool = True) -> str:
    """A fraction as percent with one decimal; a dash where there is none.

    >>> percent(0.6549), percent(-0.0004)
    ('65.5 %', '0.0 %')
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return NO_VALUE
    # A typographic minus, and never "-0.0".
    text = f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "\u2212")
    return f"{text}{' %' if unit else ''}"


def bar_cell(value: float | None) -> Cell:
    """A fraction with its bar; below 0 (MOTA) the bar is empty."""
    fraction = min(max(value, 0.0), 1.0) if value is not None else None
    return Cell(percent(value), fraction)


def headline_cards(scores: Mapping[str, Score], sets: Mapping[str, SetScore]) -> list[Card]:
    """The cards of the scores that were made, each with its own protocol."""
    both = {entry.dataset for entry in sets.values() if entry.detected}
    cards = []
    for name, score in scores.items():
        own = sets[name]
        title = set_title(own)
        boxes = (", detections" if own.detected else ", ground-truth boxes") if own.dataset in both else ""
        shown = [head for head in own.protocol.headline if head.meaning][: 1 if own.detected else None]
        for head in shown:
            cards.append(
                Card(
                    name=f"{title} {head.label}{boxes}",
                    value=score.metrics.get(head.metric),
                    interval=score.intervals.get(head.metric),
                    boxes=describe_boxes(score.protocol),
                    detected=score.protocol.boxes == "detections",
                    conditions=tuple(describe_conditions(score.protocol)),
                    meaning=f"The same {head.label} when a detector has to find the people first." if own.detected else head.meaning,
                )
            )
    return cards


def set_title(entry: SetScore) -> str:
    """The protocol's title; the data set's name where it is another."""
    return entry.protocol.title if entry.dataset == entry.protocol.name else entry.dataset


def learning_charts(history: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Loss, and accuracy with validation AP, over epochs."""
    epoch = Axis("epoch", whole=True)

    def series(name: str, key: str, *, dashed: bool = False) -> Series:
        rows = [row for row in history if key in row]
        return Series(name, [row["epoch"] for row in rows], [row[key] for row in rows], dashed)

    if not history:
        return []
    quality = [series("validation AP (ground-truth boxes)", "val_ap"), series("training accuracy", "acc", dashed=True)]
    return [
        line_chart("Quality over epochs", quality, epoch, Axis("fraction", low=0.0, percent=True)),
        line_chart("Training loss over epochs", [series("loss", "loss")], epoch, Axis("loss", low=0.0)),
    ]


def pr_chart(name: str, rows: Sequence[Mapping[str, float | str]]) -> Chart:
    """Precision over recall at three OKS thresholds."""
    table = pd.DataFrame(rows, columns=["recall", "precision", "oks"])
    series = [
        Series(f"OKS {oks}", points["recall"].tolist(), points["precision"].tolist(), index == 2)
        for index, (oks, points) in enumerate(table.groupby("oks", sort=True))
    ]
    x_axis, y_axis = (Axis(label, low=0.0, high=1.0, percent=True) for label in ("recall", "precision"))
    return line_chart(name, series, x_axis, y_axis)


def pckh_chart(rows: Sequence[Mapping[str, float | str]]) -> Chart:
    """PCKh over the allowed distance."""
    known = [row for row in rows if row.get("pckh") is not None]
    line = Series("all joints", [float(row["head_sizes"]) for row in known], [float(row["pckh"]) for row in known])
    x_axis, y_axis = Axis("allowed distance, head sizes", low=0.0, high=0.5), Axis("PCKh", low=0.0, high=1.0, percent=True)
    return line_chart("PCKh over the allowed distance", [line], x_axis, y_axis)


def metric_table(scores: Sequence[Score], title: str) -> Table:
    """The metrics, a column a kind of boxes."""
    boxes = [describe_boxes(score.protocol) for score in scores]
    rows = tuple(
        (METRIC_NAMES.get(key, key.replace("_", " ")), tuple(bar_cell(score.metrics.get(key)) for score in scores))
        for key in scores[0].metrics
    )
    caption = f"{title} keypoint AP and AR. Columns of different boxes answer different questions and are not to be ranked."
    return Table(caption, ("metric", *boxes), rows)


def keypoint_table(score: Score) -> Table | None:
    """AP and mean OKS of every keypoint; None where they were not made."""
    if score.keypoints is None:
        return None
    rows = tuple((name.replace("_", " "), _keypoint_cells(row)) for name, row in score.keypoints.items())
    boxes = describe_boxes(score.protocol)
    caption = f"Per keypoint, {boxes}. AP: were it the person's only keypoint. OKS: its mean similarity where the person was found."
    return Table(caption, ("keypoint", "AP", "OKS", "labelled"), rows, (2, 3) if score.protocol.boxes == "detections" else (1, 3))


def _keypoint_cells(row: KeypointRow) -> tuple[Cell, ...]:
    return bar_cell(row.ap), bar_cell(row.oks), Cell(str(row.count), plain=True)


def slice_table(scores: Sequence[Score]) -> Table | None:
    """AP by size, occlusion, number of people and crowding, a column a kind of boxes; None where they were not made."""
    slices = [score.slices for score in scores if score.slices is not None]
    if len(slices) < len(scores):
        return None
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for group, members in SLICE_GROUPS.items():
        rows.append((group, ()))
        for key in members:
            if key in slices[0]:
                cells = [bar_cell(table[key].ap) for table in slices]
                rows.append((SLICE_NAMES[key], (*cells, Cell(str(slices[0][key].num_people), plain=True))))
    boxes = [f"AP, {describe_boxes(score.protocol)}" for score in scores]
    return Table("AP by kind of person and image", ("slice", *boxes, "people"), tuple(rows))


def joint_table(joints: Metrics) -> Table:
    """MPII PCKh of every joint from head to foot; left and right side by side."""
    rows = []
    for name in JOINT_ORDER:
        if name in joints:
            rows.append((name.replace("_", " "), (bar_cell(joints[name]), Cell("", plain=True))))
        elif f"left_{name}" in joints:
            rows.append((name, (bar_cell(joints[f"left_{name}"]), bar_cell(joints[f"right_{name}"]))))
    caption = "PCKh@0.5 per joint; joints of no side stand in the first column"
    return Table(caption, ("joint", "left or middle", "right"), tuple(rows), (1, 4))


def part_table(score: Score) -> Table | None:
    """PoseTrack AP and MOTA of every body part."""
    if score.poses is None or score.tracked is None:
        return None
    poses, tracked = score.poses.parts, score.tracked.parts
    rows = tuple((part.lower(), (bar_cell(poses[part]["ap"]), bar_cell(tracked[part]["mota"]))) for part in poses)
    return Table("Per body part: AP of all poses, MOTA of the tracked ones", ("part", "AP", "MOTA"), rows, (1, 3))


def video_table(known: pd.DataFrame) -> Table:
    """One row a video: MOTA with a bar, the others as numbers."""
    fractions = [(key, name) for key, name in VIDEO_FRACTIONS if key in known]
    counts = [(key, name) for key, name in VIDEO_COUNTS if key in known]
    rows = []
    for row in known.to_dict("records"):
        values = [None if pd.isna(row[key]) else float(row[key]) for key, _ in fractions]
        numbers = [Cell(percent(value, unit=False), plain=True) for value in values[1:]]
        numbers += [Cell(str(int(row[key])), plain=True) for key, _ in counts]
        rows.append((str(row["video_id"]), (bar_cell(values[0]), *numbers)))
    header = ("video", *(name for _, name in (*fractions, *counts)))
    return Table("Per video: fractions in percent, and counts", header, tuple(rows), (3,))


def tracking_table(score: Score) -> Table | None:
    """What other measures say of the same tracks; None where they were not made."""
    if score.tracking is None or isinstance(score.tracking, NotScored):
        return None
    tree, strict = score.tracking, score.tracking.strict
    rows = [(name, (bar_cell(getattr(tree, key)),)) for key, name in PERSON_FRACTIONS]
    rows += [(name, (bar_cell(strict[key]),)) for key, name in STRICT_FRACTIONS if key in strict]
    rows += [(name, (Cell(str(getattr(tree, key)), plain=True),)) for key, name in PERSON_COUNTS]
    caption = "The same tracks by other measures: whole people matched by OKS, and the strict joint metrics"
    return Table(caption, ("metric", "value"), tuple(rows), (3,))
