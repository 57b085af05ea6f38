"""MPII files for scoring: ground truth with head boxes and missing joints, predictions as .mat, .h5 or .json; pixels from 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.datasets.json_files import Json, expect_mapping, number_array, read_json
from poseline.datasets.mpii.files import add_head_boxes, load_matlab, number_images, read_people_json, read_people_release
from poseline.errors import DataError
from poseline.metrics.pckh import head_size_from_box

NUM_JOINTS = 16
_HEAD_BOX_TO_SIZE = 0.6
_PREDICTION_KEYS = ("preds", "pos_pred_src", "pred", "predictions", "keypoints")


@dataclass(frozen=True)
class MpiiGroundTruth:
    """N people of an MPII split, in file order.

    Attributes:
        keypoints: float64 [N, 16, 2], pixels.
        missing: bool [N, 16], not annotated.
        head_size: float64 [N], 0.6 of the head box's diagonal, pixels.
        first_pixel: what the pixels of the keypoints (and of predictions held against them) count from: 1 as in MATLAB, or 0.
        image_ids: int64 [N], each person's image; None where the file does not tell.
        annotation_ids: int64 [N].
    """

    keypoints: Float[np.ndarray, "N 16 2"]
    missing: Bool[np.ndarray, "N 16"]
    head_size: Float[np.ndarray, " N"]
    first_pixel: int = 1
    image_ids: Int[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.head_size)

    @property
    def annotation_ids(self) -> Int[np.ndarray, " N"]:
        """1, 2, 3, ... in file order, as in the table of people."""
        return np.arange(1, len(self) + 1)

    @property
    def counted(self) -> Bool[np.ndarray, " N"]:
        """People with any annotated joint."""
        return np.asarray(~self.missing.all(axis=1))


def read_mpii_list(path: Path, head_boxes: Path | None) -> MpiiGroundTruth:
    """The ground truth of a JSON list of people (or the release's .mat) with the head boxes of a .mat; pixels from 0.

    Args:
        path: the list, as training takes it.
        head_boxes: their .mat; by default gt_valid.mat beside the list. The release brings its own.

    Raises:
        DataError: a file is missing or damaged, or a person lacks its head box.
    """
    people = read_people_release(path, split="val") if path.suffix == ".mat" else read_people_json(path)
    beside = path.with_name("gt_valid.mat")
    if head_boxes is None and path.suffix != ".mat" and beside.is_file():
        head_boxes = beside
    if head_boxes is not None:
        people = add_head_boxes(people, head_boxes)
    if not people:
        raise DataError(f"{path}: expected at least one person, got none. Give the list of a whole split.")
    # As the table of people has them: in single precision, from 0.
    joints = (np.array([person.joints for person in people]) - 1).astype(np.float32)
    heads = (np.array([person.head_xyxy for person in people]) - 1).astype(np.float32)
    visibility = np.array([person.visibility for person in people])
    missing = ~(visibility > 0)
    damaged = ~np.isfinite(visibility) | (~missing & ~np.isfinite(joints).all(axis=2))
    if damaged.any():
        person, joint = np.argwhere(damaged)[0]
        raise DataError(f"{path}: annotation {person + 1}, joint {joint}: expected finite pixels and a flag 0 or 1. Fix the file.")
    has_head = heads[:, 2] > heads[:, 0]
    bad = np.flatnonzero(~has_head & ~missing.all(axis=1))
    if len(bad):
        raise DataError(
            f"{path}: annotation {bad[0] + 1} has no head box, which PCKh needs. "
            "Give head_boxes (gt_valid.mat) or the official release .mat."
        )
    ids = number_images([person.image for person in people])
    size = np.where(has_head, head_size_from_box(np.where(has_head[:, None], heads, [0, 0, 1, 1])), 1.0)
    return MpiiGroundTruth(
        keypoints=np.where(missing[..., None], 0, joints).astype(np.float64),
        missing=missing,
        head_size=size,
        first_pixel=0,
        image_ids=np.array([ids[person.image] for person in people], dtype=np.int64),
    )


def read_mpii_matlab(path: Path) -> MpiiGroundTruth:
    """The ground truth of a .mat file: ``pos_gt_src`` [16, 2, N], ``jnt_missing`` [16, N], ``headboxes_src`` [2 corners, xy, N].

    Raises:
        DataError: missing, cut short, or without these arrays in these shapes.
    """
    path = Path(path)
    content = load_matlab(path)
    arrays = {}
    for key in ("pos_gt_src", "jnt_missing", "headboxes_src"):
        if key not in content:
            raise DataError(
                f"{path}: expected '{key}', got {sorted(k for k in content if k[0] != '_')}. Give the official ground truth file."
            )
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
            raise DataError(f"{path}: '{key}' has shape {array.shape}, expected {shape}. Give the official ground truth file.")
    head_size = _HEAD_BOX_TO_SIZE * np.linalg.norm(heads[1] - heads[0], axis=0)
    return MpiiGroundTruth(keypoints=keypoints.transpose(2, 0, 1), missing=missing.T > 0, head_size=head_size)


def read_mpii_predictions(path: Path, ground_truth: MpiiGroundTruth) -> Float[np.ndarray, "N 16 2"]:
    """Predicted positions [N, 16, 2] in the ground truth's order of people and joints, in its pixels (files count from 1).

    ``.mat``: ``preds`` [N, 16, 2] or ``pos_pred_src`` [16, 2, N]. ``.h5``: ``preds`` [N, 16, 2]. ``.json``: such a list, or an
    object with it under ``preds``.

    Raises:
        DataError: missing, cut short, of another format, of another number of people or joints, or not finite where annotated.
    """
    path = Path(path)
    readers = {".mat": _read_mat, ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".json": _read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a file of kind .mat, .h5 or .json, got '{path.suffix}'. Rename or convert it.")
    values = reader(path)
    if values.shape == (NUM_JOINTS, 2, len(ground_truth)) and values.shape != (len(ground_truth), NUM_JOINTS, 2):
        values = values.transpose(2, 0, 1)
    if values.shape[:1] == (len(ground_truth),) and values.shape[1:] == (NUM_JOINTS, 3):
        values = values[..., :2]
    if values.shape != (len(ground_truth), NUM_JOINTS, 2):
        raise DataError(
            f"{path}: predictions have shape {values.shape}, the ground truth needs {(len(ground_truth), NUM_JOINTS, 2)}. "
            "Give one row a person of the ground truth, in its order."
        )
    bad = np.argwhere(~np.isfinite(values).all(axis=2) & ~ground_truth.missing)
    if len(bad):
        raise DataError(f"{path}: person {bad[0][0]}, joint {bad[0][1]}: expected finite pixels, got NaN or infinity. Fix the file.")
    return values if ground_truth.first_pixel else values - 1


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
    return number_array(content, where=str(path))


def _one_array(content: Mapping[str, object], path: Path) -> np.ndarray:
    names = [name for name in _PREDICTION_KEYS if name in content]
    if not names:
        raise DataError(f"{path}: expected 'preds' or 'pos_pred_src', got {sorted(k for k in content if k[0] != '_')}. Fix the file.")
    return np.asarray(content[names[0]])


def _numeric(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected an array of numbers, got {array.dtype}. Fix the file.")
    return array.astype(np.float64)
