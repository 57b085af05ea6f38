"""Raw outputs of a detector to candidate boxes of people: corners, and scores in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from poseline.errors import BackendError
from poseline.infer.detectors.spec import DetectorSpec

Candidates: TypeAlias = tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]


def decode_head(outputs: Sequence[np.ndarray], spec: DetectorSpec, *, min_score: float, source: str) -> Candidates:
    """Boxes [N, 4] in the units of ``spec`` (pixels of the input for raw heads), and scores [N] of at least ``min_score``.

    Args:
        outputs: of one image, without the batch axis.
        spec: the network's description.
        min_score: people scored lower are left out.
        source: the network, as errors name it.

    Raises:
        BackendError: an output does not have the shape that the description says.
    """
    match spec.head:
        case "yolox":
            boxes, scores = _decode_yolox(outputs[0], spec, min_score, source)
        case "yolo":
            boxes, scores = _decode_yolo(outputs[0], spec, source)
        case "boxes":
            boxes, scores = _decode_boxes(outputs, spec, source)
        case "table":
            boxes, scores = _decode_table(outputs[0], spec, source)
    kept = scores >= min_score
    return boxes[kept].astype(np.float32), scores[kept].astype(np.float32)


@lru_cache(maxsize=16)
def grid_points(input_wh: tuple[int, int], strides: tuple[int, ...]) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"]]:
    """Left upper corner (x, y) in cells, and the stride, of every cell of the grids, row by row."""
    points, sizes = [], []
    for stride in strides:
        width, height = input_wh[0] // stride, input_wh[1] // stride
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        points.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        sizes.append(np.full(width * height, stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def _decode_yolox(rows: np.ndarray, spec: DetectorSpec, min_score: float, source: str) -> Candidates:
    points, strides = grid_points(spec.input_wh, spec.strides)
    person = 5 + spec.person_class
    if rows.ndim != 2 or rows.shape[0] != len(points) or rows.shape[1] <= person:
        raise _unfitting(source, rows, f"[{len(points)}, more than {person}] of head yolox with strides {list(spec.strides)}")
    scores = rows[:, 4] * rows[:, person]
    kept = np.flatnonzero(scores >= min_score)  # few of thousands of cells
    rows, points, strides = rows[kept], points[kept], strides[kept, None]
    # A cell may hold any number: the exponent is kept finite.
    return _from_centres((rows[:, :2] + points) * strides, np.exp(np.minimum(rows[:, 2:4], 20)) * strides), scores[kept]


def _decode_yolo(rows: np.ndarray, spec: DetectorSpec, source: str) -> Candidates:
    if rows.ndim == 2 and rows.shape[0] < rows.shape[1]:
        rows = rows.T  # v8 and later: a column a box
    person = 4 + spec.objectness + spec.person_class
    if rows.ndim != 2 or rows.shape[1] <= person:
        raise _unfitting(source, rows, f"[boxes, more than {person}] of head yolo, objectness {str(spec.objectness).lower()}")
    scores = rows[:, person] * (rows[:, 4] if spec.objectness else 1)
    return _from_centres(rows[:, :2], rows[:, 2:4]), scores


def _decode_boxes(outputs: Sequence[np.ndarray], spec: DetectorSpec, source: str) -> Candidates:
    boxes = outputs[0]
    if boxes.ndim != 2 or len(outputs) < 2:
        raise _unfitting(source, boxes, "[boxes, 4] and an output of scores")
    scores, labels = outputs[1], outputs[2] if len(outputs) > 2 else None
    if boxes.shape[1] == 5:  # a box and its score, then labels
        boxes, scores, labels = boxes[:, :4], boxes[:, 4], scores
    if boxes.shape[1] != 4 or len(scores) != len(boxes):
        raise _unfitting(source, outputs[0], "[boxes, 4], as many as scores; order them by output_names: boxes, scores, labels")
    if spec.scores == "logits":
        scores = 1 / (1 + np.exp(-scores.astype(np.float64)))
    if scores.ndim == 2:
        if scores.shape[1] <= spec.person_class:
            raise _unfitting(source, scores, f"scores of more than {spec.person_class} classes")
        scores = scores[:, spec.person_class]
    elif labels is not None:
        scores = np.where(np.rint(labels) == spec.person_class, scores, -1.0)
    return _in_corners(boxes, spec.box), scores


def _decode_table(rows: np.ndarray, spec: DetectorSpec, source: str) -> Candidates:
    rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim > 2 else rows
    if rows.ndim != 2 or rows.shape[1] != len(spec.columns):
        raise _unfitting(source, rows, f"[boxes, {len(spec.columns)}] of head table with columns {list(spec.columns)}")
    column = {name: rows[:, index] for index, name in enumerate(spec.columns)}
    scores = column["score"]
    if "label" in column:
        scores = np.where(np.rint(column["label"]) == spec.person_class, scores, -1.0)
    if "cx" in column:
        boxes = _from_centres(np.stack([column["cx"], column["cy"]], 1), np.stack([column["w"], column["h"]], 1))
    else:
        boxes = np.stack([column[name] for name in ("x1", "y1", "x2", "y2")], axis=1)
    return boxes, scores


def _from_centres(centres: np.ndarray, sides: np.ndarray) -> np.ndarray:
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)


def _in_corners(boxes: np.ndarray, order: str) -> np.ndarray:
    if order == "cxcywh":
        return _from_centres(boxes[:, :2], boxes[:, 2:])
    return boxes[:, [1, 0, 3, 2]] if order == "yxyx" else boxes


def _unfitting(source: str, found: np.ndarray, expected: str) -> BackendError:
    return BackendError(f"{source}: gives {list(found.shape)} an image, expected {expected}. Fix its description, or take another file.")
