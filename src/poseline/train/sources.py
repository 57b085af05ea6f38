"""The crops that a training run uses, as the preprocess stage left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseline.artifacts import Layout, PoseTable, file_hash, hash_path, read_poses
from poseline.artifacts.freshness import made_from
from poseline.config import AugmentConfig, Params
from poseline.config.params import Yaml
from poseline.crops.batches import CropDataset, PoseDataset, PublishedDataset
from poseline.crops.shards import stored_crop_wh
from poseline.datasets.sets import target_skeleton, training_sets
from poseline.errors import ArtifactError, ConfigError, DataError
from poseline.models.saved import SPEC_FILE, WEIGHTS_FILE
from poseline.project import existing


@dataclass(frozen=True)
class TrainingData:
    """Training and validation rows of the crop index.

    Attributes:
        folder: where the shards lie.
        train: rows to train on.
        val: rows that validate the checkpoints.
        hash: of the index file.
    """

    folder: Path
    train: PoseTable
    val: PoseTable
    hash: str

    def train_dataset(self, params: Params, epoch: int = 0) -> PoseDataset:
        """The training people, with the augmentation of an epoch."""
        augment = params.augment_at(epoch)
        if augment.kind == "published":
            return PublishedDataset(
                self.train,
                target_skeleton(params.data),
                input_wh=params.model.input_wh,
                padding=params.model.padding,
                seed=params.seed,
                augment=augment,
            )
        return self._crops(self.train, params, augment=augment)

    def val_dataset(self, params: Params) -> CropDataset:
        """The validation crops as prediction would cut them, without augmentation."""
        return self._crops(self.val, params, augment=None)

    def made_from(self, params: Params) -> dict[str, Yaml]:
        """The record of a model that is trained on them."""
        return made_from("train", params, Layout(self.folder.parents[1]), [self.folder / "crops.parquet"])

    def _crops(self, rows: PoseTable, params: Params, *, augment: AugmentConfig | None) -> CropDataset:
        return CropDataset(
            self.folder,
            rows,
            target_skeleton(params.data),
            input_wh=params.model.input_wh,
            extent=params.model.padding / params.preprocess.padding,
            seed=params.seed,
            augment=augment,
        )


def load_training_data(folder: Path, params: Params) -> TrainingData:
    """The training rows of ``train.sets``, and validation people of the first enabled set.

    Raises:
        DataError: no training or validation person is left.
        ArtifactError: crops made for another skeleton or input size.
    """
    path = folder / "crops.parquet"
    index, header = read_poses(path, kind="crops", made_by="preprocess")
    if header.skeleton != params.data.skeleton:
        raise ArtifactError(
            f"{path}: crops have skeleton '{header.skeleton}', data.skeleton is '{params.data.skeleton}'. Run `poseline preprocess` again."
        )
    wanted = "{}x{}".format(*stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess))
    if header.config_hash != wanted:
        raise ArtifactError(
            f"{path}: crops are {header.config_hash} pixels, model.input_wh and preprocess ask for {wanted}. "
            "Run `poseline preprocess` again."
        )
    train = index.where(split="train")
    if params.train.sets is not None:
        train = train.select(train.rows["dataset"].isin(params.train.sets))
    if not len(train):
        sets = training_sets(params.data, params.train.sets)
        raise DataError(f"{path}: no person to train on in {sets}. Enable a set under data.sets or change train.sets.")
    val = pick_validation(index.where(split="val"), params.train.validate_people)
    if not len(val):
        raise DataError(f"{path}: no validation person, so no checkpoint could be chosen. Give a val split with labelled people.")
    return TrainingData(folder, train, val, file_hash(path))


def models_before(params: Params, start: Path | None = None) -> list[str]:
    """What a run takes from other models, by the content of their files; empty where it takes nothing.

    A name may come to mean other weights (a folder written anew, an alias that moved): a run must not go on from a checkpoint that began
    with the former ones.

    Args:
        params: train is used.
        start: the folder that ``train.init_from`` stands for; None: it is that path.
    """
    named = {
        "train.init_from": start or params.train.init_from,
        "train.teacher.model": params.train.teacher.model,
    }
    return [f"{key} {' '.join(map(hash_path, model_files(existing(path, key=key))))}" for key, path in named.items() if path is not None]


def model_files(path: Path) -> list[Path]:
    """The files that decide what a model computes: of a trained folder, or an ONNX file with its description and weights beside it."""
    if path.suffix == ".onnx":
        return [path, *sorted(one for one in path.parent.glob(f"{path.stem}.*") if one != path)]
    folder = path if path.is_dir() else path.parent
    return [folder / SPEC_FILE, folder / WEIGHTS_FILE]


def check_people(data: TrainingData, processes: int) -> None:
    """Nothing, where every process has a person to train on.

    Raises:
        ConfigError: there are more processes than people.
    """
    count = len(data.train)
    if count < processes:
        people = "1 training person" if count == 1 else f"{count} training people"
        raise ConfigError(f"{people} for {processes} processes; lower train.processes.")


def pick_validation(people: PoseTable, limit: int) -> PoseTable:
    """At most ``limit`` people of the first set in the table, evenly spread."""
    chosen = people.where(dataset=people.rows["dataset"].iloc[0]) if len(people) else people
    return chosen.select(np.arange(0, len(chosen), max(-(-len(chosen) // limit), 1)))
