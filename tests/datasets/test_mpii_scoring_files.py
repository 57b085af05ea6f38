"""MPII ground_truth and prediction files."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import scipy.io

from poseline.datasets.mpii.scoring_files import read_mpii_matlab, read_mpii_predictions
from poseline.errors import DataError
from poseline.metrics.pckh import score_pckh


@pytest.fixture
def truth_path(tmp_path):
    rng = np.random.default_rng(0)
    heads = np.sort(rng.uniform(0, 100, (2, 2, 6)), axis=0)
    path = tmp_path / "ground_truth.mat"
    scipy.io.savemat(
        path, {"pos_gt_src": rng.uniform(0, 100, (16, 2, 6)), "jnt_missing": rng.random((16, 6)) < 0.2, "headboxes_src": heads}
    )
    return path


@pytest.fixture
def predictions() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 100, (6, 16, 2))


def test_truth(truth_path):
    ground_truth = read_mpii_matlab(truth_path)
    assert ground_truth.keypoints.shape == (6, 16, 2)
    assert ground_truth.missing.dtype == bool
    content = scipy.io.loadmat(truth_path)
    assert ground_truth.keypoints[2, 5].tolist() == content["pos_gt_src"][5, :, 2].tolist()
    corner = content["headboxes_src"][:, :, 3]
    assert ground_truth.head_size[3] == pytest.approx(0.6 * np.hypot(*(corner[1] - corner[0])))


def test_every_form_gives_the_same_predictions(truth_path, predictions, tmp_path):
    ground_truth = read_mpii_matlab(truth_path)
    scipy.io.savemat(tmp_path / "a.mat", {"preds": predictions})
    scipy.io.savemat(tmp_path / "b.mat", {"pos_pred_src": predictions.transpose(1, 2, 0)})
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["preds"] = predictions
    (tmp_path / "d.json").write_text(json.dumps(predictions.tolist()))
    (tmp_path / "e.json").write_text(json.dumps({"preds": predictions.tolist()}))
    with h5py.File(tmp_path / "f.mat", "w", userblock_size=512) as file:
        file["preds"] = predictions.transpose()
    for name in ("a.mat", "b.mat", "c.h5", "d.json", "e.json", "f.mat"):
        assert np.array_equal(read_mpii_predictions(tmp_path / name, ground_truth), predictions), name


def test_from_file_to_score(truth_path, tmp_path):
    ground_truth = read_mpii_matlab(truth_path)
    (tmp_path / "p.json").write_text(json.dumps(ground_truth.keypoints.tolist()))
    predicted = read_mpii_predictions(tmp_path / "p.json", ground_truth)
    assert score_pckh(predicted, ground_truth.keypoints, ground_truth.missing, ground_truth.head_size).mean == 1.0


def test_faults_are_one_line(truth_path, predictions, tmp_path):
    ground_truth = read_mpii_matlab(truth_path)

    def check(path, message):
        with pytest.raises(DataError, match=message) as error:
            read_mpii_predictions(path, ground_truth)
        assert "\n" not in str(error.value)

    check(tmp_path / "none.h5", "no such file")
    check(tmp_path / "none.mat", "no such file")
    check(tmp_path / "x.txt", "expected a file of kind .mat, .h5 or .json")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    check(tmp_path / "cut.h5", "cannot be read as HDF5")
    (tmp_path / "cut.mat").write_bytes(b"MATLAB")
    check(tmp_path / "cut.mat", "cannot be read as a MATLAB file")
    (tmp_path / "short.json").write_text(json.dumps(predictions[:5].tolist()))
    check(tmp_path / "short.json", r"shape \(5, 16, 2\), the ground truth needs \(6, 16, 2\)")
    (tmp_path / "ragged.json").write_text(json.dumps([predictions[0].tolist(), [1]]))
    check(tmp_path / "ragged.json", "lists of other lengths")
    (tmp_path / "key.json").write_text(json.dumps({"p": 1}))
    check(tmp_path / "key.json", "object with 'preds'")
    bad = predictions.copy()
    bad[~ground_truth.missing] = np.nan
    scipy.io.savemat(tmp_path / "nan.mat", {"preds": bad})
    check(tmp_path / "nan.mat", "expected finite pixels")
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    check(tmp_path / "other.mat", "expected 'preds' or 'pos_pred_src'")
    with pytest.raises(DataError, match="expected 'pos_gt_src'"):
        read_mpii_matlab(tmp_path / "other.mat")
