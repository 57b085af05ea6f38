"""PoseTrack scores: mAP of all predicted poses, MOTA and its kin of the tracked ones."""

from __future__ import annotations

from typing import cast

import pandas as pd

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.data.posetrack_files import PoseTrackSequence, read_folder
from poseline.data.read import annotation_path
from poseline.metrics.posetrack_bootstrap import bootstrap_posetrack
from poseline.metrics.posetrack_score import PoseTrackScore, score_posetrack
from poseline.stages.datasets import dataset_config
from poseline.stages.scores import ScoreFiles, not_enabled, read_about, stamp, truth_hash


def score(params: Params, layout: Layout) -> ScoreFiles:
    """The PoseTrack figures by ``score.posetrack_mode``.

    Two submissions are scored, as the benchmark's two tasks are: ``map`` is of every predicted pose, ``mota``, ``motp``,
    ``precision`` and ``recall`` are of the tracked poses without unsure keypoints, whose own mAP is ``map_tracked``.
    """
    config = dataset_config(params, "posetrack")
    about = read_about(layout, "tracks", made_by="track")
    if not about["enabled"]:
        return not_enabled("posetrack")
    truth = read_folder(annotation_path(config, config.val.annotations))
    mode = params.score.posetrack_mode
    tracked = score_posetrack(truth, read_folder(layout.tracks / "tracked"), mode=mode)
    poses = score_posetrack(truth, read_folder(layout.tracks / "poses"), mode=mode)
    metrics: dict[str, Yaml] = {"map": poses.metrics["map"], "map_tracked": tracked.metrics["map"]}
    metrics |= {key: tracked.metrics[key] for key in ("mota", "motp", "precision", "recall")}
    if params.score.bootstrap:
        metrics["map_interval"] = list(bootstrap_posetrack(poses, resamples=params.score.bootstrap, seed=params.seed)["map"])
        metrics["mota_interval"] = list(bootstrap_posetrack(tracked, resamples=params.score.bootstrap, seed=params.seed)["mota"])
    metrics["tracked"] = cast("Yaml", tracked.as_dict())
    metrics["poses"] = cast("Yaml", poses.as_dict())
    protocol = stamp(
        params, about, benchmark="posetrack", boxes=str(about["boxes"]), data_hash=truth_hash(layout, "posetrack"),
        num_images=sum(len(sequence.frames) for sequence in truth.values()), num_people=count_people(truth),
    )  # fmt: skip
    metrics["protocol"] = cast("Yaml", {**protocol.to_dict(), "mode": mode, "tracker": about["tracker"]})
    return ScoreFiles(metrics, video_rows(tracked, poses), plot=part_rows(tracked, poses))


def count_people(truth: dict[str, PoseTrackSequence]) -> int:
    """Annotated people over all frames."""
    return sum(len(frame.people) for sequence in truth.values() for frame in sequence.frames)


def video_rows(tracked: PoseTrackScore, poses: PoseTrackScore) -> pd.DataFrame:
    """One row a video."""
    rows = []
    for name, sequence in tracked.sequences.items():
        totals = {key: sequence.table.totals[key] for key in ("mota", "motp", "precision", "recall")}
        rows.append({"video_id": name, "map": poses.sequences[name].table.totals["map"], **totals})
    return pd.DataFrame(rows)


def part_rows(tracked: PoseTrackScore, poses: PoseTrackScore) -> list[Yaml]:
    """AP and MOTA of each body part."""
    pose_parts = cast("dict[str, dict[str, Yaml]]", poses.as_dict()["parts"])
    track_parts = cast("dict[str, dict[str, Yaml]]", tracked.as_dict()["parts"])
    return [{"part": part, "ap": pose_parts[part]["ap"], "mota": track_parts[part]["mota"]} for part in pose_parts]
