"""Crop shards and the batches made of them."""

from __future__ import annotations

import pickle
import tarfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from poseline.artifacts import read_poses
from poseline.config import load_params
from poseline.core.geometry import warp_points
from poseline.crops.batches import EpochSampler, iterate_batches
from poseline.crops.shards import CropStore, crop_matrices
from poseline.datasets.images import read_image
from poseline.errors import ArtifactError
from poseline.train.sources import load_training_data


def test_a_crop_shows_the_image_at_its_matrix(project: Path) -> None:
    index, _ = read_poses(Path("data/processed/crops.parquet"), kind="crops", made_by="preprocess")
    store, matrices = CropStore(Path("data/processed")), crop_matrices(index)
    differences = []
    for row in range(0, len(index), 7):
        entry, box = index.rows.iloc[row], index.poses.bbox_xyxy[row]
        crop, image = store.read(entry["shard"], int(entry["offset"]), int(entry["length"])), read_image(Path(entry["image_path"]))
        centre = box.reshape(2, 2).mean(axis=0, keepdims=True)
        x, y = warp_points(centre, matrices[row])[0].round().astype(int)
        px, py = centre[0].round().astype(int)
        differences.append(np.abs(crop[y, x].astype(int) - image[py, px].astype(int)).mean())
    assert np.median(differences) < 20


def test_a_shard_is_a_plain_tar(project: Path) -> None:
    index, _ = read_poses(Path("data/processed/crops.parquet"), kind="crops", made_by="preprocess")
    with tarfile.open(Path("data/processed") / index.rows["shard"].iloc[0]) as shard:
        names = shard.getnames()
    assert len(names) == (index.rows["shard"] == index.rows["shard"].iloc[0]).sum()


def test_damaged_shards_are_one_line(project: Path) -> None:
    store = CropStore(Path("data/processed"))
    with pytest.raises(ArtifactError, match="Run `poseline preprocess` again"):
        store.read("crops-99999.tar", 0, 10)
    with pytest.raises(ArtifactError, match="no image at byte"):
        pickle.loads(pickle.dumps(store)).read("crops-00000.tar", 0, 512)


def test_batches_hold_the_labelled_keypoints(project: Path, tiny: tuple[str, ...]) -> None:
    params = load_params(project / "params.yaml", tiny)
    data = load_training_data(Path("data/processed"), params)
    dataset = data.val_dataset(params)
    people = data.val.poses
    batches = list(iterate_batches(dataset, 5))
    weights = np.concatenate([batch.weights.numpy() for batch in batches])
    assert weights.shape == people.visibility.shape
    assert ((weights > 0) <= (people.visibility > 0)).all()
    assert weights.sum() > 0.9 * (people.visibility > 0).sum()


def test_a_global_batch_is_the_same_for_any_number_of_ranks() -> None:
    def rows(world_size: int, batch_size: int) -> list[list[tuple[int, int]]]:
        samplers = [EpochSampler(50, batch_size, seed=3, rank=rank, world_size=world_size) for rank in range(world_size)]
        for sampler in samplers:
            sampler.epoch = 4
        return [list(chain.from_iterable(parts)) for parts in zip(*samplers, strict=True)]

    assert rows(1, 12) == rows(2, 6) == rows(3, 4)
    flat = list(chain.from_iterable(rows(1, 12)))
    assert len(set(flat)) == len(flat) == 48
