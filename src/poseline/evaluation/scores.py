"""What every score writes: a metrics file with its protocol, tables of people and matches, and a plot table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, read_json, write_json, write_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.errors import ArtifactError
from poseline.evaluation.protocol import Protocol


@dataclass(frozen=True)
class ScoreFiles:
    """The outcome of one score.

    Attributes:
        metrics: headline numbers at the top level (fractions), tables below, ``protocol`` among them.
        people: one row a person of the truth.
        matches: what the bootstrap and the gate re-weight; None where the protocol has none.
        plot: rows for `dvc plots`.
        followed: which track follows which person in each frame of a video; None for pictures.
    """

    metrics: dict[str, Yaml]
    people: pd.DataFrame
    matches: pd.DataFrame | None = None
    plot: list[Yaml] = field(default_factory=list)
    followed: pd.DataFrame | None = None


def write_scores(layout: Layout, name: str, scores: ScoreFiles, *, source_hash: str) -> None:
    """Write the files of a score."""
    with atomic_folder(layout.per_person / name) as folder:
        write_table(folder / "people.parquet", scores.people, TableHeader("per_person", source_hash=source_hash))
        if scores.matches is not None:
            write_table(folder / "matches.parquet", scores.matches, TableHeader("matches", source_hash=source_hash))
        if scores.followed is not None:
            write_table(folder / "followed.parquet", scores.followed, TableHeader("followed", source_hash=source_hash))
    write_json(layout.plots / f"{name}.json", scores.plot)
    write_json(layout.metrics / f"{name}.json", scores.metrics)


def not_enabled(benchmark: str) -> ScoreFiles:
    """The files of a benchmark that the parameters leave out."""
    return ScoreFiles({"enabled": False, "protocol": {"benchmark": benchmark}}, pd.DataFrame({"image_id": pd.Series(dtype="int64")}))


def headline(metrics: Mapping[str, Yaml]) -> dict[str, float]:
    """The numbers at the top level."""
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def read_about(layout: Layout, folder: str, *, made_by: str) -> dict[str, Yaml]:
    """What a prediction or track folder says of itself.

    Raises:
        ArtifactError: missing or damaged.
    """
    about = read_json(layout.root / "data" / folder / "about.json", made_by=made_by)
    if "enabled" not in about:
        raise ArtifactError(f"data/{folder}/about.json: lacks 'enabled'. Run `poseline {made_by}` again.")
    return about


def truth_hash(layout: Layout, benchmark: str) -> str:
    """Hash of a benchmark's val annotations, as the validation's manifest has it."""
    manifest = read_json(layout.validated / benchmark / "manifest.json", made_by=f"validate {benchmark}")
    entry = manifest.get(f"{benchmark}/val")
    if not isinstance(entry, dict):
        raise ArtifactError(f"{layout.validated / 'manifest.json'}: lacks '{benchmark}/val'. Run `poseline validate` again.")
    return str(entry["annotations_sha256"])[:16]


def stamp(
    params: Params, about: Mapping[str, Yaml], *, benchmark: str, boxes: str, data_hash: str, num_images: int, num_people: int,
    box_ap: float | None = None,
) -> Protocol:  # fmt: skip
    """The protocol of a score of the pipeline's predictions."""
    detected = boxes == "detections"
    width, height = cast("tuple[int, int]", about["input_wh"])
    nms = "none" if not detected else str(about["nms"])
    return Protocol(
        benchmark=benchmark,
        boxes=boxes,
        box_ap=box_ap,
        flip=bool(about["flip"]),
        input_wh=(width, height),
        codec=str(about["codec"]),
        nms=f"parametric-{about['nms_mode']}" if nms == "parametric" else nms,
        rescoring=str(about["score"]),
        data_hash=data_hash,
        num_images=num_images,
        num_people=num_people,
    )
