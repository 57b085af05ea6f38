"""Datasets: a sample depends on (seed, epoch, row) alone, and its keypoints lie on what they name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from poseline.artifacts import PoseTable
from poseline.config import AugmentConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import ReferenceDataset

SKELETON = load_skeleton("coco17")
INPUT_WH = (96, 128)


@pytest.fixture
def dotted(tmp_path: Path) -> ReferenceDataset:
    """Two rows of one person in a dark picture with a white dot at every keypoint but the last, which is not labelled."""
    grid = np.stack(np.meshgrid(np.linspace(110, 190, 5), np.linspace(80, 220, 4)), -1).reshape(-1, 2)[:17].round()
    image = np.zeros((300, 320, 3), np.uint8)
    for x, y in grid.astype(int)[:-1]:
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    visibility = np.array([2] * 16 + [0], np.uint8)
    poses = PoseSet(
        keypoints=(grid * (visibility[:, None] > 0))[None], keypoint_scores=visibility[None] > 0, bbox_xyxy=np.array([[100, 70, 200, 230]]),
        visibility=visibility[None],
    )  # fmt: skip
    row = PoseTable(pd.DataFrame({"image_path": [str(tmp_path / "a.png")]}), poses)
    index = PoseTable.concat([row, row])
    augment = AugmentConfig(kind="reference", rotation_deg=40, scale=0.3, half_body=0.3)
    return ReferenceDataset(index, SKELETON, input_wh=INPUT_WH, padding=1.25, seed=3, augment=augment)


def test_reference_keypoints_stay_on_their_dots(dotted: ReferenceDataset) -> None:
    seen = 0
    for epoch in range(20):
        _, sample = dotted[epoch, 0]
        labelled = sample.visibility > 0
        assert labelled.sum() == 16
        inside = labelled & ((sample.keypoints > 3) & (sample.keypoints < np.array(INPUT_WH) - 4)).all(axis=1)
        for x, y in sample.keypoints[inside].round().astype(int):
            assert sample.image[y - 1 : y + 2, x - 1 : x + 2].max() > 60
            seen += 1
    assert seen > 150


def affine(source: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Largest misfit of the best affine map between points, and its determinant (negative for a mirror)."""
    extended = np.column_stack([source, np.ones(len(source))])
    matrix, *_ = np.linalg.lstsq(extended, target, rcond=None)
    return float(np.abs(extended @ matrix - target).max()), float(np.linalg.det(matrix[:2]))


def test_reference_mirrors_swap_left_and_right(dotted: ReferenceDataset) -> None:
    """A sample is the picture's points moved, or a mirror's with left and right exchanged; never one without the other."""
    whole = slice(0, 15)  # without the ankles, of which one is not labelled
    original = dotted.keypoints[0]
    kinds = set()
    for epoch in range(20):
        _, sample = dotted[epoch, 0]
        straight, turn = affine(original[whole], sample.keypoints[whole])
        swapped, mirror = affine(original[SKELETON.flip_permutation][whole], sample.keypoints[whole])
        kinds.add("straight" if straight < 0.01 else "mirrored")
        assert (straight < 0.01 and turn > 0) or (swapped < 0.01 and mirror < 0)
    assert kinds == {"straight", "mirrored"}


def test_reference_samples_depend_on_epoch_and_row_alone(dotted: ReferenceDataset) -> None:
    first = dotted[4, 1][1]
    other_epoch, other_row, again = dotted[5, 1][1], dotted[4, 0][1], dotted[4, 1][1]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.keypoints, other_epoch.keypoints)
    assert not np.array_equal(first.keypoints, other_row.keypoints)


def test_the_codec_weighs_what_the_reference_recipe_moves_out(dotted: ReferenceDataset) -> None:
    batch = dotted.collate([dotted[epoch, 0] for epoch in range(20)])
    assert len(dotted) == 2
    assert batch.images.shape == (20, 3, 128, 96)
    assert (batch.weights.sum(dim=1) == 16).all()
    outside = ((batch.keypoints < 0) | (batch.keypoints > batch.keypoints.new_tensor(INPUT_WH))).any(dim=-1)
    assert (outside & (batch.weights > 0)).any()
