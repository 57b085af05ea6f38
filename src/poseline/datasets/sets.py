"""The data sets that the parameters list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poseline.config import DataConfig, DatasetConfig, Split, SplitConfig
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.errors import ConfigError
from poseline.project import existing, located


def dataset_config(data: DataConfig, name: str) -> DatasetConfig:
    """The section of one data set.

    Raises:
        ConfigError: no set of that name.
    """
    if name not in data.sets:
        raise ConfigError(f"data.sets: no set '{name}'. Choose one of {', '.join(data.sets) or 'none'}, or add it to params.yaml.")
    return data.sets[name]


def enabled_sets(data: DataConfig) -> list[str]:
    """Names of the sets in use, in the order of the parameters.

    Raises:
        ConfigError: none is enabled.
    """
    enabled = [name for name, config in data.sets.items() if config.enabled]
    if not enabled:
        raise ConfigError("data.sets: no set is enabled. Set enabled: true for one of them, or add one.")
    return enabled


def training_sets(data: DataConfig, chosen: Sequence[str] | None) -> list[str]:
    """Names of the sets to learn from: the chosen ones, or every enabled one with a train split."""
    if chosen is not None:
        return list(chosen)
    return [name for name in enabled_sets(data) if data.sets[name].train is not None]


def named_skeleton(name: str, *, key: str) -> Skeleton:
    """The skeleton of that name or file; ``key`` is the parameter that names it.

    Raises:
        ConfigError: it is unknown or broken.
    """
    try:
        return load_skeleton(name)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def target_skeleton(data: DataConfig) -> Skeleton:
    """The skeleton that the model learns.

    Raises:
        ConfigError: ``data.skeleton`` is unknown or broken.
    """
    return named_skeleton(data.skeleton, key="data.skeleton")


def split_files(config: DatasetConfig, split: Split, *, name: str) -> tuple[SplitConfig, Path]:
    """The section of a split, and its annotation file or folder.

    Raises:
        ConfigError: the set has no such split.
    """
    part = config.split(split)
    if part is None:
        raise ConfigError(f"data.sets.{name}.{split}: null, but its files are needed. Name them.")
    existing(config.annotations, key=f"data.sets.{name}.annotations")
    existing(part.images, key=f"data.sets.{name}.{split}.images")
    return part, annotation_path(config, part.annotations)


def annotation_path(config: DatasetConfig, name: str) -> Path:
    """``name`` within the set's annotation folder; the annotation file itself where ``annotations`` is a file."""
    place = located(config.annotations)
    return place if place.is_file() else place / name
