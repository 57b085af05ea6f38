"""MPII files for scoring: truth with head boxes and missing joints, predictions as .mat, .h5 or .json; pixels from 1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float

from poseline.datasets.json_files import Json, expect_mapping, read_json
from poseline.datasets.mpii.files import load_matlab
from poseline.errors import DataError

NUM_JOINTS = 16
_HEAD_BOX_TO_SIZE = 0.6
_PREDICTION_KEYS = ("preds", "pos_pred_src", "pred", "predictions", "keypoints")


@dataclass(frozen=True)
class MpiiTruth:
    """N people of an MPII split, as the file has them (pixels from 1).

    Attributes:
        keypoints: float64 [N, 16, 2].
        missing: bool [N, 16], not annotated.
        head_size: float64 [N], 0.6 of the head box's diagonal, pixels.
    """

    keypoints: Float[np.ndarray, "N 16 2"]
    missing: Bool[np.ndarray, "N 16"]
    head_size: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.head_size)


def read_mpii_truth(path: Path) -> MpiiTruth:
    """The truth of a .mat file: ``pos_gt_src`` [16, 2, N], ``jnt_missing`` [16, N], ``headboxes_src`` [2 corners, xy, N].

    Raises:
        DataError: missing, cut short, or without these arrays in these shapes.
    """
    path = Path(path)
    content = load_matlab(path)
    arrays = {}
    for key in ("pos_gt_src", "jnt_missing", "headboxes_src"):
        if key not in content:
            raise DataError(f"{path}: expected '{key}', got {sorted(k for k in content if k[0] != '_')}. Give the official truth file.")
        arrays[key] = np.asarray(content[key], dtype=np.float64)
    keypoints, missing, heads = arrays["pos_gt_src"], arrays["jnt_missing"], arrays["headboxes_src"]
    if keypoints.ndim == 2:
        keypoints, missing, heads = keypoints[..., None], missing.reshape(-1, 1), heads.reshape(2, 2, 1)
    count = keypoints.shape[-1]
    for key, array, shape in (
        ("pos_gt_src", keypoints, (NUM_JOINTS, 2, count)),
        ("jnt_missing", missing, (NUM_JOINTS, count)),
        ("headboxes_src", heads, (2, 2, count)),
    ):
        if array.shape != shape:
            raise DataError(f"{path}: '{key}' has shape {array.shape}, expected {shape}. Give the official truth file.")
    head_size = _HEAD_BOX_TO_SIZE * np.linalg.norm(heads[1] - heads[0], axis=0)
    return MpiiTruth(keypoints=keypoints.transpose(2, 0, 1), missing=missing.T > 0, head_size=head_size)


def read_mpii_predictions(path: Path, truth: MpiiTruth) -> Float[np.ndarray, "N 16 2"]:
    """Predicted positions [N, 16, 2] in the truth's order of people and joints, as the file has them (pixels from 1).

    ``.mat``: ``preds`` [N, 16, 2] or ``pos_pred_src`` [16, 2, N]. ``.h5``: ``preds`` [N, 16, 2]. ``.json``: such a list, or an
    object with it under ``preds``.

    Raises:
        DataError: missing, cut short, of another form, of another number of people or joints, or not finite where asked for.
    """
    path = Path(path)
    readers = {".mat": _read_mat, ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file of kind .mat, .h5 or .json, got '{path.suffix}'. Rename or convert it.")
    values = reader(path)
    if values.shape == (NUM_JOINTS, 2, len(truth)) and values.shape != (len(truth), NUM_JOINTS, 2):
        values = values.transpose(2, 0, 1)
    if values.shape[:1] == (len(truth),) and values.shape[1:] == (NUM_JOINTS, 3):
        values = values[..., :2]
    if values.shape != (len(truth), NUM_JOINTS, 2):
        raise DataError(
            f"{path}: predictions have shape {values.shape}, the truth needs {(len(truth), NUM_JOINTS, 2)}. "
            "Give one row a person of the truth, in its order."
        )
    bad = np.argwhere(~np.isfinite(values).all(axis=2) & ~truth.missing)
    if len(bad):
        raise DataError(f"{path}: person {bad[0][0]}, joint {bad[0][1]}: expected finite pixels, got NaN or infinity. Fix the file.")
    return values


def _read_mat(path: Path) -> np.ndarray:
    try:
        is_hdf5 = h5py.is_hdf5(path)
    except OSError:
        is_hdf5 = False
    if path.is_file() and is_hdf5:
        # MATLAB 7.3 keeps arrays in Fortran order, so that HDF5 shows their axes reversed.
        return _read_hdf5(path).transpose()
    return _numeric(_one_array(load_matlab(path), path), path)


def _read_hdf5(path: Path) -> np.ndarray:
    try:
        with h5py.File(path, "r") as file:
            return _numeric(_one_array({key: np.asarray(file[key]) for key in file if isinstance(file[key], h5py.Dataset)}, path), path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({' '.join(str(error).split())[:120]}). Fetch it again.") from None


def _read_json(path: Path) -> np.ndarray:
    content: Json = read_json(path)
    if not isinstance(content, list):
        mapping = expect_mapping(content, where=str(path))
        key = next((name for name in _PREDICTION_KEYS if name in mapping), None)
        if key is None:
            raise DataError(f"{path}: expected a list or an object with 'preds', got the keys {sorted(mapping)[:8]}. Fix the file.")
        content = mapping[key]
    try:
        return np.asarray(content, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{path}: expected numbers [people][16 joints][x, y], got lists of other lengths or kinds. Fix the file.") from None


def _one_array(content: dict[str, np.ndarray], path: Path) -> np.ndarray:
    names = [name for name in _PREDICTION_KEYS if name in content]
    if not names:
        raise DataError(f"{path}: expected 'preds' or 'pos_pred_src', got {sorted(k for k in content if k[0] != '_')}. Fix the file.")
    return content[names[0]]


def _numeric(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected an array of numbers, got {array.dtype}. Fix the file.")
    return array.astype(np.float64)
