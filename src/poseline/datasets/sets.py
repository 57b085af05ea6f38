"""The benchmarks that the parameters enable, read from their official files."""

from __future__ import annotations

from typing import Literal

from poseline.config import Benchmark, DatasetConfig, Params
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.read import read_split
from poseline.errors import ConfigError

BENCHMARKS: tuple[Benchmark, ...] = ("coco", "mpii", "posetrack")
SPLITS: tuple[Literal["train", "val"], ...] = ("train", "val")


def dataset_config(params: Params, benchmark: Benchmark) -> DatasetConfig:
    """The section of one benchmark."""
    section: DatasetConfig = getattr(params.data, benchmark)
    return section


def enabled_benchmarks(params: Params) -> list[Benchmark]:
    """The benchmarks in use.

    Raises:
        ConfigError: none is enabled.
    """
    enabled = [benchmark for benchmark in BENCHMARKS if getattr(params.data, benchmark).enabled]
    if not enabled:
        raise ConfigError("data: no benchmark is enabled. Set data.coco.enabled, data.mpii.enabled or data.posetrack.enabled to true.")
    return enabled


def target_skeleton(params: Params) -> Skeleton:
    """The skeleton that the model learns.

    Raises:
        ConfigError: ``data.skeleton`` is unknown or broken.
    """
    try:
        return load_skeleton(params.data.skeleton)
    except ValueError as error:
        raise ConfigError(f"data.skeleton: {error}") from None


def read_benchmark(params: Params, benchmark: Benchmark, split: Literal["train", "val"]) -> Annotations:
    """One split of one benchmark."""
    return read_split(benchmark, dataset_config(params, benchmark), split, target_skeleton(params))


def read_all(params: Params) -> list[Annotations]:
    """Every split of every enabled benchmark."""
    return [read_benchmark(params, benchmark, split) for benchmark in enabled_benchmarks(params) for split in SPLITS]
