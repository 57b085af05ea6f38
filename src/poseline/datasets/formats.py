"""The formats of data sets: which module reads the annotations of each, and a split read as the parameters name it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from poseline.config import FORMATS, DataConfig, DatasetConfig, Split
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.sets import dataset_config, enabled_sets, named_skeleton, target_skeleton
from poseline.errors import ArtifactError

SPLITS: tuple[Split, ...] = ("train", "val")


@runtime_checkable
class AnnotationFormat(Protocol):
    """What a module that reads annotations has.

    Attributes:
        SKELETON: the keypoints of the format's files, where the parameters name no other.
    """

    SKELETON: str

    def read_annotations(self, config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
        """The annotations of a split, read with the keypoints ``source``, people in ``target``.

        Raises:
            DataError: a file is missing or not in the format.
        """
        ...


def load_format(name: str) -> AnnotationFormat:
    """The module that reads a format's annotations."""
    return cast("AnnotationFormat", FORMATS.load(name))


def set_skeleton(config: DatasetConfig, *, name: str) -> Skeleton:
    """The keypoints of a data set's files, in which it is scored.

    Raises:
        ConfigError: its ``skeleton`` is unknown or broken.
    """
    return named_skeleton(skeleton_name(config), key=f"data.sets.{name}.skeleton")


def skeleton_name(config: DatasetConfig) -> str:
    """Name or file of the keypoints of a data set's files."""
    return config.skeleton or load_format(config.format).SKELETON


def check_skeleton(data: DataConfig, name: str, recorded: str, *, path: Path, made_by: str) -> Skeleton:
    """The keypoints of a data set's files, which a table of its poses names by their own name (a user's file may lie anywhere).

    Raises:
        ArtifactError: the table was made for others.
    """
    skeleton = set_skeleton(dataset_config(data, name), name=name)
    if recorded != skeleton.name:
        raise ArtifactError(
            f"{path}: poses have skeleton '{recorded}', set '{name}' has '{skeleton.name}'. Run `poseline {made_by}` again."
        )
    return skeleton


def read_split(data: DataConfig, name: str, split: Split) -> Annotations:
    """One split of one data set.

    Raises:
        ConfigError: no such set, or a skeleton that is unknown or broken.
        DataError: a file is missing or not in its format.
    """
    config = dataset_config(data, name)
    read = load_format(config.format).read_annotations
    return read(config, split, name=name, source=set_skeleton(config, name=name), target=target_skeleton(data))


def read_set(data: DataConfig, name: str) -> list[Annotations]:
    """Every split of one data set."""
    return [read_split(data, name, split) for split in SPLITS if dataset_config(data, name).split(split) is not None]


def read_all(data: DataConfig) -> list[Annotations]:
    """Every split of every enabled data set."""
    return [annotations for name in enabled_sets(data) for annotations in read_set(data, name)]
