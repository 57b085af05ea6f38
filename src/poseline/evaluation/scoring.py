"""The score of predictions by a protocol: its metrics with intervals, slices, diagnosis and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, hash_path, write_json, write_table
from poseline.config import ScoreConfig
from poseline.core.skeletons import Skeleton
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, KeypointMatches, PlotRow, load_protocol
from poseline.datasets.score import Interval, Metrics, Score, ScoreQuality, Stamp
from poseline.errors import DataError, FindingsError, PoselineError
from poseline.evaluation.bootstrap import bootstrap_metrics
from poseline.evaluation.calibration import describe_calibration
from poseline.evaluation.diagnosis import correlate_scores, describe_errors, diagnose
from poseline.evaluation.runs import TABLE_SUFFIX
from poseline.evaluation.slices import match_slices, score_keypoints, score_slices
from poseline.evaluation.tables import table_to_frame
from poseline.metrics.match_table import MatchTable
from poseline.metrics.tables import ScoreTable
from poseline.progress import phase

Truth = TypeVar("Truth")
Found = TypeVar("Found")
SEED = 1
FILES = ScoreConfig(engine="poseline", bootstrap=0)
"""How official files are scored where nothing else is said: without intervals."""


@dataclass(frozen=True, eq=False)
class ScoreFiles:
    """A score and the tables that are kept beside it.

    Attributes:
        score: what is written as JSON.
        people: one row a person (or video) of the ground truth.
        matches: what is resampled by compare and gate; None where the protocol has no such table.
        plot: rows for `dvc plots`.
        followed: which track follows which person in each frame of a video; None for images.
        source_hash: of the weights behind the predictions, where it is known.
    """

    score: Score
    people: pd.DataFrame
    matches: pd.DataFrame | None
    plot: list[PlotRow]
    followed: pd.DataFrame | None = None
    source_hash: str = ""


def score(
    protocol: EvaluationProtocol[Truth, Found],
    ground_truth: Truth,
    predictions: Found,
    options: ScoreConfig,
    *,
    stamp: Stamp,
    seed: int = SEED,
) -> ScoreFiles:
    """The score of predictions.

    Args:
        protocol: whose rules.
        ground_truth: as the protocol reads it.
        predictions: as the protocol reads them, or makes them of the pipeline's poses.
        options: engine, mode, resamples, and whether errors are diagnosed.
        stamp: the conditions; counts and mode are filled in.
        seed: of the resamples.

    Raises:
        DataError: ground truth and predictions that do not belong together.
    """
    with phase("matching"):
        found = protocol.evaluate(ground_truth, predictions, options)
    table: ScoreTable | None = found.table
    sections = dict(found.sections)
    if found.keypoints is not None:
        with phase("slices and kinds of errors"):
            slices = match_slices(found.keypoints.ground_truth, found.keypoints.predictions, sigmas=found.keypoints.sigmas)
            table = slices
            sections |= describe_keypoints(found.keypoints, slices, diagnosis=options.diagnosis)
    made = Score.model_validate(
        {
            "protocol": stamp.model_copy(update={"num_images": found.num_images, "num_people": found.num_people, "mode": found.mode}),
            "metrics": found.metrics,
            "intervals": estimate_intervals(found, table, options.bootstrap, seed),
            "reasons": {name: protocol.explain(name, ground_truth) for name in without_value(found.metrics)} or None,
            **{name: section for name, section in sections.items() if name in Score.model_fields},
            "sections": {name: section for name, section in sections.items() if name not in Score.model_fields},
        }
    )
    return ScoreFiles(made, found.people, table_to_frame(table), found.plot, found.followed)


def without_value(metrics: Metrics) -> list[str]:
    """The metrics that are not defined for this ground truth."""
    return [name for name, value in metrics.items() if value is None or np.isnan(value)]


def require_values(made: Score) -> None:
    """Nothing where every headline metric has a value.

    Raises:
        FindingsError: one has none; says why.
    """
    headline = [entry.metric for entry in load_protocol(made.protocol.benchmark).headline]
    missing = [name for name in without_value(made.metrics) if name in headline]
    if made.enabled and missing:
        reason = (made.reasons or {}).get(missing[0], "the score file does not say why")
        raise FindingsError(f"score {made.protocol.benchmark}: no value for {', '.join(missing)}: {reason}.")


def describe_keypoints(found: KeypointMatches, slices: MatchTable, *, diagnosis: bool) -> dict[str, object]:
    """The sections ``keypoints`` and ``slices``; where errors are diagnosed ``diagnosis``, ``score_quality``, ``calibration``."""
    people, poses, skeleton = found.ground_truth, found.predictions, found.skeleton
    rows = score_keypoints(people, poses, skeleton.keypoints, sigmas=found.sigmas, matches=found.matches)
    sections: dict[str, object] = {"keypoints": rows, "slices": score_slices(slices)}
    if not diagnosis:
        return sections
    errors = diagnose(people, poses, flip_permutation=skeleton.flip_permutation, sigmas=skeleton.sigma_array)
    return sections | {
        "diagnosis": describe_errors(people, poses, errors, skeleton),
        "score_quality": ScoreQuality(rank_correlation=correlate_scores(poses, errors)),
        "calibration": describe_calibration(people, poses, errors, skeleton),
    }


def estimate_intervals(found: Evaluation, table: ScoreTable | None, resamples: int, seed: int) -> dict[str, Interval]:
    """95 % intervals of the metrics that have a value and that the table can give."""
    names = [name for name, value in found.metrics.items() if value is not None and not np.isnan(value) and table and table.gives(name)]
    if table is None or not resamples or not names:
        return {}
    with phase(f"{resamples:,} resamples"):
        return bootstrap_metrics(table, names, resamples=resamples, seed=seed)


def score_files(
    protocol: str,
    ground_truth: Path,
    predictions: Path,
    options: ScoreConfig = FILES,
    *,
    seed: int = SEED,
    skeleton: Skeleton | None = None,
) -> ScoreFiles:
    """The score of official prediction files.

    Args:
        protocol: whose rules, by name.
        ground_truth: the official annotations: a file; a folder for posetrack and mot.
        predictions: the official results, in the format of that benchmark.
        options: as the section ``score``.
        seed: of the resamples.
        skeleton: of the keypoints; None: the protocol's own.

    Raises:
        ConfigError: no such protocol.
        DataError: a file is missing, damaged or against its format.
    """
    for option, path in (("--ground-truth", ground_truth), ("--predictions", predictions)):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder. Give {option} an existing one.")
    rules = load_protocol(protocol, skeleton)
    try:
        people = rules.read_ground_truth(ground_truth)
        poses = rules.read_predictions(predictions, people)
        return score(rules, people, poses, options, stamp=Stamp(benchmark=protocol, data_hash=hash_path(ground_truth)[:16]), seed=seed)
    except PoselineError as error:
        if str(ground_truth) in str(error) or str(predictions) in str(error):
            raise
        raise type(error)(f"{predictions} against {ground_truth}: {error}") from None
    except ValueError as error:  # the pure functions' own words on numbers that make no sense
        raise DataError(f"{predictions} against {ground_truth}: {error}. Fix the file.") from None


def write_file_score(folder: Path, name: str, files: ScoreFiles) -> None:
    """Write NAME.json and, where there is one, NAME_matches.parquet: what `poseline compare` and `gate --against` read."""
    if files.matches is not None:
        write_table(folder / (name + TABLE_SUFFIX), files.matches, TableHeader("matches"))
    write_json(folder / f"{name}.json", files.score.to_json())


def write_scores(layout: Layout, name: str, files: ScoreFiles) -> None:
    """Write the files of the pipeline's score: metrics, tables by person and of matches, and plot rows."""
    tables = {"people": ("per_person", files.people), "matches": ("matches", files.matches), "followed": ("followed", files.followed)}
    with atomic_folder(layout.per_person / name) as folder:
        for file, (kind, table) in tables.items():
            if table is not None:
                write_table(folder / f"{file}.parquet", table, TableHeader(kind, source_hash=files.source_hash))
    write_json(layout.plots / f"{name}.json", [dict(row) for row in files.plot])
    write_json(layout.metrics / f"{name}.json", files.score.to_json())
