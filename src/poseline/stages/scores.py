"""What every score stage writes: a metrics file with its protocol, a table of people, a plot table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from poseline.artifacts import Layout, TableHeader, read_json, write_json, write_table
from poseline.config.params import Yaml
from poseline.errors import ArtifactError


@dataclass(frozen=True)
class ScoreFiles:
    """The outcome of one score.

    Attributes:
        metrics: headline numbers at the top level (fractions), tables below, ``protocol`` among them.
        people: one row a person or prediction.
        plot: rows for `dvc plots`.
    """

    metrics: dict[str, Yaml]
    people: pd.DataFrame
    plot: list[Yaml] = field(default_factory=list)


def write_scores(layout: Layout, name: str, scores: ScoreFiles, *, source_hash: str) -> None:
    """Write the three files of a score."""
    write_json(layout.metrics / f"{name}.json", scores.metrics)
    write_table(layout.per_person / f"{name}.parquet", scores.people, TableHeader("per_person", source_hash=source_hash))
    write_json(layout.plots / f"{name}.json", scores.plot)


def not_enabled(name: str) -> ScoreFiles:
    """The files of a benchmark that the parameters leave out."""
    return ScoreFiles({"enabled": False, "protocol": {"benchmark": name}}, pd.DataFrame({"image_id": pd.Series(dtype="int64")}))


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
