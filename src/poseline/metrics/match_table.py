"""The table of matches of keypoint predictions: precision and recall, also of any re-weighting of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from poseline.errors import DataError
from poseline.metrics.average_precision import RECALL_POINTS, curve_at_recall_points, interpolate_precision
from poseline.metrics.keypoint_types import AREA_NAMES, OKS_THRESHOLDS


@dataclass(frozen=True)
class MatchTable:
    """Which detection found a person, at each threshold and in each slice; enough to score any re-weighting of images.

    Attributes:
        image_ids: int64 [I].
        image_index: int64 [D]; the rows are ordered by image and within it by falling score.
        detection_index: int64 [D], position in the predictions.
        scores: float64 [D].
        matched: bool [S, D, T], the detection found a person (who may be an ignored one).
        ignored: bool [S, D, T], the detection counts neither as right nor as wrong.
        num_people: int64 [S, I], people counted.
        slices: S names, the first is ``all``.
        thresholds: float64 [T].
        ground_truth_index: int32 [S, D, T], the person found (position in the ground truth), -1 none; None in a table read from a file.
    """

    unit: ClassVar[str] = "images"
    image_ids: Int[np.ndarray, " I"]
    image_index: Int[np.ndarray, " D"]
    detection_index: Int[np.ndarray, " D"]
    scores: Float[np.ndarray, " D"]
    matched: Bool[np.ndarray, "S D T"]
    ignored: Bool[np.ndarray, "S D T"]
    num_people: Int[np.ndarray, "S I"]
    slices: tuple[str, ...] = AREA_NAMES
    thresholds: Float[np.ndarray, " T"] = field(default_factory=lambda: OKS_THRESHOLDS)
    ground_truth_index: Int[np.ndarray, "S D T"] | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every table gives; also ar50, ar75 and ar_SLICE may be given to :meth:`rate`."""
        return ("ap", "ap50", "ap75", "ar", *(f"ap_{name}" for name in self.slices[1:]))

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        return _read_metric(metric, self) is not None

    def rate(self, weights: Integer[np.ndarray, "B I"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of image weights; NaN where no person is counted. Weights of one give the score itself.

        Raises:
            DataError: a metric that the table cannot give.
        """
        wanted = {name: spec for name in metrics if (spec := _read_metric(name, self)) is not None}
        unknown = next((name for name in metrics if name not in wanted), None)
        if unknown is not None:
            slices = ", ".join(f"ap_{part}" for part in self.slices[1:])
            raise DataError(f"unknown metric '{unknown}': this table gives ap, ap50, ap75, ar, ar50, ar75, {slices}. Choose one of them.")
        values = {name: np.full(len(weights), np.nan) for name in metrics}
        for index in {slice_index for _, slice_index, _ in wanted.values()}:
            members = {name: spec for name, spec in wanted.items() if spec[1] == index}
            levels = {level for _, _, level in members.values()}
            chosen = list(range(len(self.thresholds))) if None in levels else sorted(level for level in levels if level is not None)
            for b, (precision, recall) in enumerate(_resample_slice(self, index, chosen, weights)):
                for name, (kind, _, level) in members.items():
                    curve = precision if kind == "ap" else recall
                    values[name][b] = np.mean(curve if level is None else curve[chosen.index(level)])
        return values


def precision_recall(matches: MatchTable) -> tuple[Float[np.ndarray, "S T 101"], Float[np.ndarray, "S T"]]:
    """Interpolated precision at the 101 recall points, and the highest recall; NaN in a slice that counts no person.

    Reference:
        pycocotools ``accumulate``, the same bits.
    """
    num_slices, num_thresholds = len(matches.slices), len(matches.thresholds)
    precision = np.full((num_slices, num_thresholds, len(RECALL_POINTS)), np.nan)
    recall = np.full((num_slices, num_thresholds), np.nan)
    order = np.argsort(-matches.scores, kind="stable")
    found, ignored = matches.matched[:, order], matches.ignored[:, order]
    for s in range(num_slices):
        num_people = int(matches.num_people[s].sum())
        if not num_people:
            continue
        for t in range(num_thresholds):
            precision[s, t], recall[s, t] = interpolate_precision(found[s, :, t], ~ignored[s, :, t], num_people)
    return precision, recall


def _read_metric(name: str, table: MatchTable) -> tuple[str, int, int | None] | None:
    """(ap or ar, slice, threshold or None for their mean) of a metric's name; None where the table cannot give it."""
    kind, rest = name[:2], name[2:]
    if kind not in ("ap", "ar"):
        return None
    if rest in ("", "50", "75"):
        return kind, 0, None if not rest else int(np.argmin(np.abs(table.thresholds - int(rest) / 100)))
    return (kind, table.slices.index(rest[1:]), None) if rest[1:] in table.slices else None


def _resample_slice(
    table: MatchTable, index: int, levels: list[int], weights: Integer[np.ndarray, "B I"]
) -> list[tuple[Float[np.ndarray, "T 101"], Float[np.ndarray, " T"]]]:
    """Precision curves and recalls of one slice for each row of weights."""
    order = np.argsort(-table.scores, kind="stable")
    images = table.image_index[order]
    counted = ~table.ignored[index][order][:, levels].T
    hits = [np.flatnonzero(row) for row in table.matched[index][order][:, levels].T & counted]
    hit_images = [images[row] for row in hits]
    # The thresholds count nearly the same detections: one running sum serves all, and each corrects it by what it differs in.
    shared = _Running(images, np.flatnonzero(counted[0]), hits)
    changes = [_Running(images, np.flatnonzero(row != counted[0]), [hit]) for row, hit in zip(counted, hits, strict=True)]
    signs = [np.where(row[change.members], 1.0, -1.0) for row, change in zip(counted, changes, strict=True)]
    curves = []
    for row in weights:
        weight = row.astype(np.float64)
        num_people = float(weight @ table.num_people[index])
        precision, recall = np.full((len(levels), len(RECALL_POINTS)), np.nan), np.full(len(levels), np.nan)
        if num_people:
            sums = shared.sum_up(weight[shared.images])
            for t, (change, sign) in enumerate(zip(changes, signs, strict=True)):
                found = np.cumsum(weight[hit_images[t]])
                total = sums[shared.positions[t]] + change.sum_up(sign * weight[change.images])[change.positions[0]]
                precision[t] = curve_at_recall_points(found, total - found, num_people)
                recall[t] = found[-1] / num_people if len(found) else 0.0
        curves.append((precision, recall))
    return curves


class _Running:
    """A running sum over some rows, to be read off at others."""

    def __init__(self, images: Int[np.ndarray, " D"], members: Int[np.ndarray, " M"], readings: list[Int[np.ndarray, " _"]]) -> None:
        self.members = members
        self.images = images[members]
        self.positions = [np.searchsorted(members, rows, side="right") for rows in readings]

    def sum_up(self, values: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M1"]:
        """0, then the sum after each member."""
        sums = np.zeros(len(values) + 1)
        np.cumsum(values, out=sums[1:])
        return sums
