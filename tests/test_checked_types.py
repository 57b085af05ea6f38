"""The types that the package's annotations name are checked while the tests run."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest

from poseline.core.boxes import box_iou
from poseline.track.smoothing import smooth_offline


def test_a_wrong_shape_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_iou, "__no_type_check__", False, raising=False)  # others may have called it a thousand times
    assert box_iou(np.zeros((2, 4)), np.zeros((1, 4))).shape == (2, 1)
    with pytest.raises(jaxtyping.TypeCheckError, match="box_iou"):
        box_iou(np.zeros((2, 3)), np.zeros((1, 4)))


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="smooth_offline"):
        smooth_offline(None, window=5, order=2)  # type: ignore[arg-type]


def test_types_can_be_left_unchecked(unchecked: None) -> None:
    with pytest.raises(ValueError, match="cannot reshape"):
        box_iou(np.zeros((2, 3)), np.zeros((1, 4)))
