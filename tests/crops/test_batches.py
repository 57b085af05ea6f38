"""Datasets: a sample depends on (seed, epoch, row) alone, and its keypoints lie on what they name."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from poseline.artifacts import PoseTable
from poseline.config import AugmentConfig, PreprocessConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import CropDataset, EpochSampler, PublishedDataset
from poseline.crops.shards import stored_crop_wh, write_crops

SKELETON = load_skeleton("coco17")
INPUT_WH = (96, 128)


@pytest.fixture
def people(tmp_path: Path) -> PoseTable:
    """Two rows of one person in a dark image with a white dot at every keypoint but the last, which is not labelled."""
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
    return PoseTable.concat([row, row])


def crop_dataset(people: PoseTable, folder: Path, augment: AugmentConfig | None, *, seed: int = 3) -> CropDataset:
    config = PreprocessConfig(padding=1.6, resolution=1.25, jpeg_quality=95, processes=1)
    index = write_crops(people, folder, config, crop_wh=stored_crop_wh(INPUT_WH, 1.25, config))
    return CropDataset(folder, index, SKELETON, input_wh=INPUT_WH, extent=1.25 / 1.6, seed=seed, augment=augment)


def published_dataset(people: PoseTable) -> PublishedDataset:
    augment = AugmentConfig(kind="published", rotation_deg=40, scale=0.3, half_body=0.3)
    return PublishedDataset(people, SKELETON, input_wh=INPUT_WH, padding=1.25, seed=3, augment=augment)


@pytest.fixture(params=["standard", "published"])
def dotted(request: pytest.FixtureRequest, people: PoseTable, tmp_path: Path) -> CropDataset | PublishedDataset:
    """The dotted person under either augmentation."""
    if request.param == "published":
        return published_dataset(people)
    return crop_dataset(people, tmp_path / "crops", AugmentConfig(rotation_deg=40, scale=0.3, half_body=0.3))


def test_keypoints_stay_on_their_dots(dotted: CropDataset | PublishedDataset) -> None:
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
    """Largest misfit of the best affine map between points, and its determinant (negative for a flip)."""
    extended = np.column_stack([source, np.ones(len(source))])
    matrix, *_ = np.linalg.lstsq(extended, target, rcond=None)
    return float(np.abs(extended @ matrix - target).max()), float(np.linalg.det(matrix[:2]))


def test_flips_swap_left_and_right(dotted: CropDataset | PublishedDataset) -> None:
    """A sample is the image's points moved, or a flipped image's with left and right swapped; never one without the other."""
    whole = slice(0, 15)  # without the ankles, of which one is not labelled
    original = dotted.keypoints[0]
    kinds = set()
    for epoch in range(20):
        _, sample = dotted[epoch, 0]
        straight, turn = affine(original[whole], sample.keypoints[whole])
        swapped, flip = affine(original[SKELETON.flip_permutation][whole], sample.keypoints[whole])
        kinds.add("straight" if straight < 0.01 else "flipped")
        assert (straight < 0.01 and turn > 0) or (swapped < 0.01 and flip < 0)
    assert kinds == {"straight", "flipped"}


def test_samples_depend_on_epoch_and_row_alone(dotted: CropDataset | PublishedDataset) -> None:
    first = dotted[4, 1][1]
    other_epoch, other_row, again = dotted[5, 1][1], dotted[4, 0][1], dotted[4, 1][1]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.keypoints, other_epoch.keypoints)
    assert not np.array_equal(first.keypoints, other_row.keypoints)


def test_samples_depend_on_nothing_but_seed_epoch_and_row(people: PoseTable, tmp_path: Path) -> None:
    """Another data set object, other calls before it and global random state do not matter; the seed does."""
    augment = AugmentConfig(erase=0.5, half_body=0.3)
    one = crop_dataset(people, tmp_path / "one", augment)
    first = one[7, 1][1]
    twin = pickle.loads(pickle.dumps(crop_dataset(people, tmp_path / "two", augment)))
    np.random.seed(99)
    torch.manual_seed(99)
    for epoch in range(3):
        twin[epoch, 0]
    again, other = twin[7, 1][1], crop_dataset(people, tmp_path / "three", augment, seed=4)[7, 1][1]
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.keypoints, other.keypoints)


def test_without_augmentation_every_epoch_shows_the_same_centred_crop(people: PoseTable, tmp_path: Path) -> None:
    plain = crop_dataset(people, tmp_path / "crops", None)
    first, later = plain[0, 0][1], plain[9, 1][1]
    np.testing.assert_array_equal(first.image, later.image)
    box_centre, middle = np.array([150.0, 150.0]), (np.array(INPUT_WH) - 1) / 2
    scale = (INPUT_WH[1] - 1) / (160 * 1.25)
    np.testing.assert_allclose(first.keypoints[:16], (people.poses.keypoints[0, :16] - box_centre) * scale + middle, atol=0.3)


def test_a_keypoint_outside_the_input_has_no_weight(people: PoseTable, tmp_path: Path) -> None:
    dataset = crop_dataset(people, tmp_path / "crops", AugmentConfig(rotation_deg=40, scale=0.3, translation=0.3))
    batch = dataset.collate([dataset[epoch, 0] for epoch in range(20)])
    inside = ((batch.keypoints > -0.5) & (batch.keypoints < batch.keypoints.new_tensor(INPUT_WH) - 0.5)).all(dim=-1)
    # The unlabelled keypoint is the last, or where a flip puts it.
    assert (batch.weights > 0).logical_and(~inside).sum() == 0
    labelled = torch.from_numpy(np.stack([dataset[epoch, 0][1].visibility for epoch in range(20)]) > 0)
    assert torch.equal(batch.weights > 0, labelled & inside)
    assert (labelled & ~inside).any()


def test_the_codec_weighs_what_the_published_augmentation_moves_out(people: PoseTable) -> None:
    dotted = published_dataset(people)
    batch = dotted.collate([dotted[epoch, 0] for epoch in range(20)])
    assert len(dotted) == 2
    assert batch.images.shape == (20, 3, 128, 96)
    assert (batch.weights.sum(dim=1) == 16).all()
    outside = ((batch.keypoints < 0) | (batch.keypoints > batch.keypoints.new_tensor(INPUT_WH))).any(dim=-1)
    assert (outside & (batch.weights > 0)).any()


def keys(num_rows: int, batch_size: int, *, epoch: int = 0, rank: int = 0, world_size: int = 1) -> list[list[tuple[int, int]]]:
    sampler = EpochSampler(num_rows, batch_size, seed=3, rank=rank, world_size=world_size)
    sampler.epoch = epoch
    batches = list(sampler)
    assert len(batches) == len(sampler)
    return batches


def test_fewer_rows_than_a_batch_are_one_batch() -> None:
    (batch,) = keys(5, 8)
    assert sorted(batch) == [(0, row) for row in range(5)]
    parts = [keys(5, 4, rank=rank, world_size=2)[0] for rank in range(2)]
    assert [len(part) for part in parts] == [3, 2]
    assert parts[0] + parts[1] == batch


def test_the_incomplete_batch_is_left_out_and_no_row_comes_twice() -> None:
    batches = keys(11, 4)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len({key for batch in batches for key in batch}) == 8


def test_the_order_changes_with_the_epoch_and_is_the_same_again() -> None:
    rows = [[row for batch in keys(64, 8, epoch=epoch) for _, row in batch] for epoch in (0, 1, 0)]
    assert rows[0] == rows[2] != rows[1]
    assert sorted(rows[0]) == sorted(rows[1]) == list(range(64))
    assert {epoch for batch in keys(64, 8, epoch=5) for epoch, _ in batch} == {5}
