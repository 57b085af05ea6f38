"""PCKh against the known figures of a method whose predictions come with MPII's validation ground_truth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poseline.datasets.mpii.scoring_files import read_mpii_matlab, read_mpii_predictions
from poseline.metrics.pckh import score_pckh

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("POSELINE_REAL", ROOT.parent / "shared" / "real"))


@pytest.mark.real
def test_tompson():
    path = REAL / "mpii" / "valid_groundtruth_and_tompson.mat"
    if not path.is_file():
        pytest.skip(f"no real data at {path}")
    ground_truth = read_mpii_matlab(path)
    score = score_pckh(read_mpii_predictions(path, ground_truth), ground_truth.keypoints, ground_truth.missing, ground_truth.head_size)
    assert round(100 * score.mean, 2) == 82.34
    expected = {"head": 95.60, "shoulder": 92.71, "elbow": 83.36, "wrist": 76.74, "hip": 81.93, "knee": 73.36, "ankle": 65.45}
    assert {name: round(100 * value, 2) for name, value in score.groups.items()} == expected
    # Pelvis and thorax were not predicted by that method, and do not count.
    assert score.joints["pelvis"] == score.joints["thorax"] == 0.0
