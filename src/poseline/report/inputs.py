"""Everything that the report reads: scores, tables, plot tables, the model's description and the data checks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pandas as pd
from safetensors import SafetensorError, safe_open

from poseline.artifacts import Layout, PoseTable, read_json, read_poses, read_table
from poseline.artifacts.freshness import OnStale, refuse_stale
from poseline.config import DataConfig, Params
from poseline.config.params import Yaml
from poseline.datasets.formats import check_skeleton, skeleton_name
from poseline.datasets.score import Score, read_score_file
from poseline.datasets.scored_sets import SetScore, list_scores
from poseline.datasets.sets import dataset_config
from poseline.errors import ArtifactError

Json = Mapping[str, Yaml]


@dataclass(frozen=True)
class ReportFiles:
    """What earlier stages wrote.

    Attributes:
        scores: by name, of the enabled data sets.
        sets: score name -> its data set and protocol.
        left_out: scores that the parameters left out.
        people: annotated people.
        per_person: score name -> one row a person.
        poses: data set -> predicted poses, with the skeleton's name.
        tracks: data set of videos -> tracked poses with the skeleton's name.
        followed: data set of videos -> which track follows which person in which frame.
        plots: score name -> plot rows.
        history: one mapping an epoch.
        model: model.json.
        num_weights: numbers in the weights' file; None where it is not there.
        findings, manifest: of the data checks.
    """

    scores: dict[str, Score]
    sets: dict[str, SetScore]
    left_out: tuple[str, ...]
    people: PoseTable
    per_person: dict[str, pd.DataFrame]
    poses: dict[str, tuple[PoseTable, str]]
    tracks: dict[str, tuple[PoseTable, str]]
    followed: dict[str, pd.DataFrame]
    plots: dict[str, list[dict[str, float | str]]]
    history: list[dict[str, float]]
    model: Json
    num_weights: int | None
    findings: Json
    manifest: Json


def read_files(params: Params, layout: Layout, *, on_stale: OnStale = "ignore") -> ReportFiles:
    """The files of the layout, for the data sets of the parameters.

    Raises:
        ArtifactError: one is missing or damaged; says which stage makes it.
        StaleError: a score was made by other parameters or files than those of now, and that is to be refused.
    """
    known = list_scores(params.data)
    every = {name: read_score_file(layout.metrics / f"{name}.json", made_by=f"score {entry.dataset}") for name, entry in known.items()}
    stale = {entry.dataset: refuse_stale("score", params, layout, entry.dataset, on_stale=on_stale) for entry in known.values()}
    scores = {
        name: score.stamped(stale=reason) if (reason := stale[known[name].dataset]) else score
        for name, score in every.items()
        if score.enabled
    }
    disabled = [name for name, config in params.data.sets.items() if not config.enabled]
    datasets = list(dict.fromkeys(known[name].dataset for name in scores))
    tracked = [name for name in datasets if known[name].protocol.tracked]
    people, _ = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    return ReportFiles(
        scores=scores,
        sets={name: known[name] for name in scores},
        left_out=tuple(name for name in (*known, *disabled) if name not in scores),
        people=people,
        per_person={name: read_person_scores(layout, name) for name in scores},
        poses={name: read_predictions(params.data, layout, name) for name in datasets},
        tracks={name: read_tracks(params.data, layout, name) for name in tracked},
        followed={name: read_followed(layout, name) for name in tracked},
        plots={name: read_rows(layout.plots / f"{name}.json", made_by=f"score {known[name].dataset}") for name in scores},
        history=read_history(layout.model / "history.jsonl"),
        model=read_json(layout.model / "model.json", made_by="train"),
        num_weights=count_weights(layout.model / "model.safetensors"),
        findings=read_findings(layout),
        manifest=read_manifests(layout),
    )


def read_person_scores(layout: Layout, name: str) -> pd.DataFrame:
    """One row a person (a video for posetrack) of a score."""
    table, _ = read_table(layout.per_person / name / "people.parquet", kind="per_person", made_by=f"score {name}")
    return table


def read_predictions(data: DataConfig, layout: Layout, dataset: str) -> tuple[PoseTable, str]:
    """The predicted poses of a data set and their skeleton's name or file."""
    path, made_by = layout.predictions / dataset / "poses.parquet", f"predict {dataset}"
    table, header = read_poses(path, kind="predictions", made_by=made_by)
    check_skeleton(data, dataset, header.skeleton, path=path, made_by=made_by)
    return table, skeleton_name(dataset_config(data, dataset))


def read_tracks(data: DataConfig, layout: Layout, dataset: str) -> tuple[PoseTable, str]:
    """The tracked poses and their skeleton's name or file."""
    path, made_by = layout.tracks / dataset / "tracks.parquet", f"track {dataset}"
    table, header = read_poses(path, kind="tracks", made_by=made_by)
    check_skeleton(data, dataset, header.skeleton, path=path, made_by=made_by)
    return table, skeleton_name(dataset_config(data, dataset))


def read_followed(layout: Layout, dataset: str) -> pd.DataFrame:
    """Which track follows which person in each frame."""
    table, _ = read_table(layout.per_person / dataset / "followed.parquet", kind="followed", made_by=f"score {dataset}")
    return table


def read_rows(path: Path, *, made_by: str) -> list[dict[str, float | str]]:
    """The rows of a plot table.

    Raises:
        ArtifactError: missing, or no list of rows.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable as a plot table ({error}). Run `poseline {made_by}` again.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ArtifactError(f"{path}: expected a list of rows. Run `poseline {made_by}` again.")
    return rows


def read_history(path: Path) -> list[dict[str, float]]:
    """One mapping an epoch; empty where the model came without a history (imported weights).

    Raises:
        ArtifactError: a line is not JSON.
    """
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise ArtifactError(f"{path}: not one JSON object a line ({error}). Run `poseline train` again.") from None


def count_weights(path: Path) -> int | None:
    """How many numbers a safetensors file holds, read from its header alone; None where there is no such file.

    Raises:
        ArtifactError: the header is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: not a safetensors file ({error}). Run `poseline train` again.") from None


def read_findings(layout: Layout) -> Json:
    """The findings of every set as one."""
    every = [read_json(path, made_by="validate") for path in sorted(layout.validated.glob("*/findings.json"))]
    if not every:
        raise ArtifactError(f"{layout.validated}: no findings. Run `poseline validate` first.")
    summaries = [cast("dict[str, int]", findings["summary"]) for findings in every]
    summary = {key: sum(entry[key] for entry in summaries) for key in summaries[0] if key != "valid"}
    results = [entry for findings in every for entry in cast("list[Yaml]", findings["results"])]
    return {"summary": {**summary, "valid": all(entry["valid"] for entry in summaries)}, "results": results}


def read_manifests(layout: Layout) -> Json:
    """The splits of every set."""
    return {
        name: entry
        for path in sorted(layout.validated.glob("*/manifest.json"))
        for name, entry in read_json(path, made_by="validate").items()
    }
