"""Boxes: conversions, area, overlap and padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseline.core.boxes import box_area, box_iou, pad_to_aspect, xywh_to_xyxy, xyxy_to_xywh

sides = st.floats(0.5, 500)
boxes = st.tuples(st.floats(-500, 500), st.floats(-500, 500), sides, sides)


@given(boxes)
def test_conversions_invert_each_other(box: tuple[float, ...]) -> None:
    xywh = np.array([box])
    np.testing.assert_allclose(xyxy_to_xywh(xywh_to_xyxy(xywh)), xywh, atol=1e-9)


@given(boxes, boxes)
def test_iou_is_symmetric_and_one_with_itself(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    one, other = xywh_to_xyxy(np.array([a])), xywh_to_xyxy(np.array([b]))
    assert box_iou(one, other) == pytest.approx(box_iou(other, one).T)
    assert 0 <= box_iou(one, other)[0, 0] <= 1 + 1e-12
    assert box_iou(one, one)[0, 0] == pytest.approx(1)


def test_boxes_without_area_overlap_nothing() -> None:
    point, inverted, box = [5.0, 5, 5, 5], [9.0, 9, 1, 1], [0.0, 0, 10, 10]
    assert box_area(np.array([point, inverted, box])).tolist() == [0, 0, 100]
    assert box_iou(np.array([point, inverted]), np.array([point, inverted])).tolist() == [[0, 0], [0, 0]]


def test_no_boxes_give_an_empty_matrix() -> None:
    assert box_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


@given(boxes, st.floats(0.3, 3), st.floats(1, 2))
def test_a_padded_box_keeps_its_centre_has_the_aspect_and_holds_the_box(box: tuple[float, ...], aspect: float, padding: float) -> None:
    centre, size_wh = pad_to_aspect(xywh_to_xyxy(np.array([box])), aspect, padding)
    x, y, w, h = box
    assert centre[0] == pytest.approx([x + w / 2, y + h / 2], abs=1e-3)
    assert size_wh[0, 0] / size_wh[0, 1] == pytest.approx(aspect, rel=1e-3)
    assert size_wh[0, 0] >= padding * w * (1 - 1e-3) - 1e-3
    assert size_wh[0, 1] >= padding * h * (1 - 1e-3) - 1e-3
    assert min(size_wh[0, 0] / w, size_wh[0, 1] / h) == pytest.approx(padding, rel=1e-2, abs=1e-2)
