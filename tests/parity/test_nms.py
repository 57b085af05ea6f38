"""Parametric pose NMS against figures that the reference implementation printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.core.nms import parametric_pose_nms

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["nms_17_10", "nms_17_50", "nms_26_10", "nms_136_10"])
def test_same_poses_in_the_same_order(name):
    with np.load(GOLDEN / f"{name}.npz") as golden:
        kept, keypoints, scores, pose_scores = parametric_pose_nms(
            golden["preds"], golden["scores"][..., 0], golden["boxes"], golden["box_scores"][:, 0], mode="published"
        )
        expected = golden["out_scores"][..., 0].astype(np.float64)
        assert kept.tolist() == golden["out_pick"].tolist()
        assert np.abs(keypoints - golden["out_preds"]).max() < 1e-3
        assert np.abs(scores - expected).max() < 1e-5
        assert np.abs(golden["boxes"][kept] - golden["out_boxes"]).max() == 0
        assert pose_scores == pytest.approx(expected.mean(axis=1) + golden["out_box_scores"] + 1.25 * expected.max(axis=1), abs=1e-5)
