from __future__ import annotations

import numpy as np
import pytest

from poseline.codecs.scores import pose_score

SCORES = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.05]])
BOXES = np.array([0.8, 0.4])


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("mean", [0.8 * 0.5, 0.4 * 0.35 / 3]),
        ("mean_visible", [0.8 * 0.7, 0.0]),
        ("published", [0.8 + 0.5 + 1.25 * 0.9, 0.4 + 0.35 / 3 + 1.25 * 0.2]),
    ],
)
def test_rules(rule: str, wanted: list[float]) -> None:
    scores = pose_score(SCORES, BOXES, rule)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted, rtol=1e-6)


def test_no_poses() -> None:
    assert pose_score(np.zeros((0, 17)), np.zeros(0), "published").shape == (0,)
