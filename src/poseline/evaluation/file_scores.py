"""Scores of official files, apart from the pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd

from poseline.artifacts import TableHeader, file_hash, write_json, write_table
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.coco.scoring_files import BODY, WHOLEBODY_PARTS, read_results, read_truth
from poseline.datasets.mot.files import read_mot_folder
from poseline.datasets.mpii.scoring_files import read_mpii_predictions, read_mpii_truth
from poseline.datasets.posetrack.files import read_folder
from poseline.errors import DataError, PoselineError
from poseline.evaluation.bootstrap import DistanceTable, bootstrap_metrics, list_metrics
from poseline.evaluation.diagnosis import diagnose_results
from poseline.evaluation.group_bootstrap import Intervals, bootstrap_groups, bootstrap_parts
from poseline.evaluation.match_tables import distances_to_frame, matches_to_frame, videos_to_frame
from poseline.evaluation.protocol import Protocol
from poseline.evaluation.runs import TABLE_SUFFIX
from poseline.evaluation.slices import match_slices, score_keypoints, score_slices
from poseline.metrics.crowd_ap import score_crowdpose
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import CocoResults, CocoScore, CocoTruth
from poseline.metrics.mpii_map import label_groups, read_groups, score_mpii_multi
from poseline.metrics.part_ap import score_halpe, score_wholebody, summarize_parts
from poseline.metrics.pckh import score_pckh
from poseline.metrics.posetrack import score_posetrack
from poseline.metrics.tracking_score import TrackingScore, score_box_tracking, score_pose_tracking
from poseline.metrics.video_table import VideoTable, tabulate_videos

FileProtocol = Literal["coco", "coco-wholebody", "halpe", "crowdpose", "mpii", "mpii-multi", "posetrack", "mot"]
PROTOCOLS: tuple[FileProtocol, ...] = ("coco", "coco-wholebody", "halpe", "crowdpose", "mpii", "mpii-multi", "posetrack", "mot")
Mode = Literal["poseval", "strict"]
SEED = 0
HALPE_SIZES = (26, 136)


@dataclass(frozen=True)
class FileScore:
    """The score of official files.

    Attributes:
        metrics: fractions at the top level (None where nobody is asked for), tables and ``protocol`` below.
        matches: what `poseline compare` and the gate re-weight; None where the protocol has no such table.
    """

    metrics: dict[str, Yaml]
    matches: pd.DataFrame | None = None


def score_files(protocol: FileProtocol, truth: Path, predictions: Path, *, mode: Mode = "poseval", resamples: int = 0) -> FileScore:
    """The score of official prediction files.

    Args:
        protocol: whose rules.
        truth: the official annotations: a file; a folder for posetrack and mot.
        predictions: the official results, in the form of that benchmark.
        mode: posetrack: as published, or strict.
        resamples: above 0 adds METRIC_interval, 95 % over as many resamples of the pictures (groups, videos).

    Raises:
        DataError: a file is missing, damaged or against its format.
    """
    for option, path in (("--truth", truth), ("--predictions", predictions)):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder. Give {option} an existing one.")
    try:
        match protocol:
            case "coco":
                found = _score_coco(truth, predictions, resamples)
            case "coco-wholebody" | "halpe":
                found = _score_parts(protocol, truth, predictions, resamples)
            case "crowdpose":
                found = _score_crowd(truth, predictions, resamples)
            case "mpii":
                found = _score_mpii(truth, predictions, resamples)
            case "mpii-multi":
                found = _score_mpii_multi(truth, predictions, resamples)
            case "posetrack":
                found = _score_posetrack(truth, predictions, mode, resamples)
            case "mot":
                found = _score_mot(truth, predictions, resamples)
    except PoselineError:
        raise
    except ValueError as error:  # the pure functions' own words on numbers that make no sense
        raise DataError(f"{predictions} against {truth}: {error}. Fix the file.") from None
    stamp = cast("dict[str, Yaml]", found.metrics["protocol"])
    return replace(found, metrics={**found.metrics, "protocol": {**stamp, "data_hash": hash_files(truth)}})


def write_file_score(folder: Path, name: str, score: FileScore) -> None:
    """Write NAME.json and, where there is one, NAME_matches.parquet: what `poseline compare` and `gate --against` read."""
    if score.matches is not None:
        write_table(folder / (name + TABLE_SUFFIX), score.matches, TableHeader("matches"))
    write_json(folder / f"{name}.json", score.metrics)


def hash_files(path: Path) -> str:
    """Sixteen hex digits of a file, or of the names and contents of a folder's files."""
    if path.is_file():
        return file_hash(path)
    parts = [f"{file.relative_to(path)} {file_hash(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _score_coco(truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    truth = read_truth(truth_path)
    results = read_results(predictions, truth)
    skeleton = load_skeleton("coco17")
    if truth.keypoints.shape[1] != skeleton.num_keypoints:
        raise DataError(
            f"{truth_path}: {truth.keypoints.shape[1]} keypoints a person, protocol 'coco' has {skeleton.num_keypoints}. "
            "Give --protocol crowdpose, halpe or coco-wholebody for other sets."
        )
    found = score_coco(truth, results)
    matches = match_slices(truth, results)
    tables: dict[str, object] = {
        "keypoints": score_keypoints(truth, results, skeleton.keypoints, matches=found.matches),
        "slices": score_slices(matches),
        **diagnose_results(truth, results, skeleton),
    }
    metrics = _assemble(found.metrics, _coco_intervals(found, resamples), tables, _coco_stamp("coco", truth))
    return FileScore(metrics, matches_to_frame(matches))


def _score_parts(protocol: Literal["coco-wholebody", "halpe"], truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    parts = WHOLEBODY_PARTS if protocol == "coco-wholebody" else BODY
    truth = read_truth(truth_path, parts=parts)
    if protocol == "halpe" and truth.keypoints.shape[1] not in HALPE_SIZES:
        raise DataError(f"{truth_path}: {truth.keypoints.shape[1]} keypoints a person, Halpe has 26 or 136. Give Halpe's annotation file.")
    results = read_results(predictions, truth, parts=parts)
    scores = (score_wholebody if protocol == "coco-wholebody" else score_halpe)(truth, results)
    whole = scores["whole"].metrics
    flat = {"ap": whole["ap"], "ap50": whole["ap50"], "ap75": whole["ap75"], **summarize_parts(scores)}
    intervals = bootstrap_parts(scores, resamples=resamples, seed=SEED) if resamples else {}
    tables: dict[str, object] = {"parts": {part: score.metrics for part, score in scores.items()}}
    return FileScore(_assemble(flat, intervals, tables, _coco_stamp(protocol, truth)), matches_to_frame(scores["whole"].matches))


def _score_crowd(truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    truth = read_truth(truth_path, area_from_box=True)
    results: CocoResults = read_results(predictions, truth)
    found = score_crowdpose(truth, results)
    metrics = _assemble(found.metrics, _coco_intervals(found, resamples), {}, _coco_stamp("crowdpose", truth))
    return FileScore(metrics, matches_to_frame(found.matches))


def _score_mpii(truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    truth = read_mpii_truth(truth_path)
    found = score_pckh(read_mpii_predictions(predictions, truth), truth.keypoints, truth.missing, truth.head_size)
    # The official arrays do not say which people share a picture.
    table = DistanceTable.from_people(np.arange(len(truth)), found.distances)
    intervals = bootstrap_metrics(table, list(found.metrics), resamples=resamples, seed=SEED) if resamples else {}
    protocol = Protocol("mpii", num_people=len(truth))
    return FileScore(_assemble(found.metrics, intervals, {"joints": found.joints}, protocol), distances_to_frame(table))


def _score_mpii_multi(truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    truth = read_groups(truth_path, truth=True)
    poses = read_groups(predictions, truth=False)
    found = score_mpii_multi(truth, poses)
    intervals = bootstrap_groups(label_groups(truth, poses), resamples=resamples, seed=SEED) if resamples else {}
    protocol = Protocol("mpii-multi", num_images=len(np.unique(truth.group_ids)), num_people=len(truth.group_ids))
    return FileScore(_assemble(found.metrics, intervals, {"joints": found.joints}, protocol))


def _score_posetrack(truth_path: Path, predictions: Path, mode: Mode, resamples: int) -> FileScore:
    truth, poses = read_folder(truth_path), read_folder(predictions)
    score = score_posetrack(truth, poses, mode=mode)
    tables = score.as_dict()
    flat = cast("dict[str, float | None]", tables.pop("metrics"))
    people_score = None
    try:
        people_score = score_pose_tracking(truth, poses)
    except DataError as error:  # stricter than poseval: the official numbers stand without them
        tables["tracks"] = {"not_scored": str(error)}
    else:
        tables["tracks"] = _track_table(people_score)
        flat = flat | {name: people_score.metrics[name] for name in ("hota", "idf1")}
    table = tabulate_videos(poses=score, tracked=score, people=people_score)
    frames = sum(len(video.frames) for video in truth.values())
    people = sum(len(frame.people) for video in truth.values() for frame in video.frames)
    metrics = _assemble(flat, _video_intervals(table, resamples), tables, Protocol("posetrack", num_images=frames, num_people=people))
    stamp = cast("dict[str, Yaml]", metrics["protocol"])
    return FileScore({**metrics, "protocol": {**stamp, "mode": mode}}, videos_to_frame(table))


def _score_mot(truth_path: Path, predictions: Path, resamples: int) -> FileScore:
    truth = read_mot_folder(truth_path, truth=True)
    empty = [name for name, video in truth.items() if not len(video.frames)]
    if empty:
        raise DataError(f"{truth_path}: video '{empty[0]}' has no boxes. Give the official truth.")
    score = score_box_tracking(truth, read_mot_folder(predictions))
    values = score.metrics
    mota = values["clear_mota"]
    flat: dict[str, float | None] = {
        **{name: values[name] for name in ("hota", "det_a", "ass_a", "loc_a", "idf1", "idp", "idr")},
        "mota": None if np.isnan(mota) else mota,
        "motp": score.tracks.similarity,
    }
    table = tabulate_videos(people=score)
    videos = {
        name: {key: video.metrics["clear_mota" if key == "mota" else key] for key in ("hota", "idf1", "mota", "switches")}
        for name, video in score.sequences.items()
    }
    frames = sum(video.num_frames for video in truth.values())
    tables: dict[str, object] = {"tracks": _track_table(score), "sequences": videos}
    metrics = _assemble(flat, _video_intervals(table, resamples), tables, Protocol("mot", num_images=frames))
    return FileScore(metrics, videos_to_frame(table))


def _track_table(score: TrackingScore) -> dict[str, float]:
    names = ("switches", "fragmentations", "mostly_tracked", "partially_tracked", "mostly_lost")
    return {name: int(getattr(score.tracks, name)) for name in names}


def _coco_intervals(found: CocoScore, resamples: int) -> Intervals:
    names = [name for name, value in found.metrics.items() if value is not None]
    return bootstrap_metrics(found.matches, names, resamples=resamples, seed=SEED) if resamples and names else {}


def _video_intervals(table: VideoTable, resamples: int) -> Intervals:
    return bootstrap_metrics(table, list_metrics(table), resamples=resamples, seed=SEED) if resamples else {}


def _coco_stamp(benchmark: FileProtocol, truth: CocoTruth) -> Protocol:
    return Protocol(benchmark, num_images=len(truth.image_ids), num_people=int((~truth.ignored).sum()))


def _assemble(flat: Mapping[str, float | None], intervals: Intervals, tables: Mapping[str, object], protocol: Protocol) -> dict[str, Yaml]:
    """Headline numbers, each with its interval where one was made, then the tables and the protocol."""
    metrics: dict[str, Yaml] = {}
    for name, value in flat.items():
        metrics[name] = value
        if name in intervals and value is not None:
            metrics[f"{name}_interval"] = list(intervals[name])
    return metrics | cast("dict[str, Yaml]", _plain(tables)) | {"protocol": cast("Yaml", protocol.to_dict())}


def _plain(value: object) -> object:
    """The same tree without NaN, which JSON has not."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
