"""PoseTrack scores: mAP of all predicted poses, MOTA and its kin, HOTA and identity scores of the tracked ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pandas as pd

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.datasets.posetrack.files import PoseTrackSequence, read_folder
from poseline.datasets.posetrack.frames import scored_frames
from poseline.datasets.sets import dataset_config, split_files
from poseline.evaluation.bootstrap import bootstrap_metrics, list_metrics
from poseline.evaluation.match_tables import videos_to_frame
from poseline.evaluation.scores import ScoreFiles, not_enabled, read_about, stamp, truth_hash
from poseline.metrics.hota import HotaScore
from poseline.metrics.posetrack import PoseTrackScore, score_posetrack
from poseline.metrics.tracking_score import TrackingScore, score_keypoint_hota, score_pose_tracking
from poseline.metrics.video_table import tabulate_videos

Sequences = Mapping[str, PoseTrackSequence]
OKS_THRESHOLD = 0.5
# HOTA's parts under the names of the papers' tables.
HOTA_NAMES = {"hota": "hota", "deta": "det_a", "assa": "ass_a", "loca": "loc_a"}


def score(params: Params, layout: Layout, name: str) -> ScoreFiles:
    """The PoseTrack figures by ``score.posetrack_mode``, and beside them what other protocols say of the same tracks.

    Two submissions are scored, as the benchmark's two tasks are: ``map`` is of every predicted pose; ``mota``, ``motp``,
    ``precision``, ``recall``, ``hota`` and ``idf1`` are of the tracked poses without unsure keypoints, whose own mAP is
    ``map_tracked``. ``tracking`` holds the strict figures, HOTA and identity on OKS, keypoint HOTA, and every switch.
    """
    config = dataset_config(params.data, name)
    about = read_about(layout, f"tracks/{name}", made_by="track")
    if not about["enabled"]:
        return not_enabled("posetrack")
    truth, found = read_folder(split_files(config, "val", name=name)[1]), read_folder(layout.tracks / name / "tracked")
    mode = params.score.posetrack_mode
    tracked = score_posetrack(truth, found, mode=mode)
    poses = score_posetrack(truth, read_folder(layout.tracks / name / "poses"), mode=mode)
    people = score_pose_tracking(truth, found, threshold=OKS_THRESHOLD)
    metrics: dict[str, Yaml] = {"map": poses.metrics["map"], "map_tracked": tracked.metrics["map"]}
    metrics |= {key: tracked.metrics[key] for key in ("mota", "motp", "precision", "recall")}
    metrics |= {"hota": people.metrics["hota"], "idf1": people.metrics["idf1"]}
    table = tabulate_videos(poses=poses, tracked=tracked, people=people)
    if params.score.bootstrap:
        tested = [name for name in ("map", "mota", "hota", "idf1") if name in list_metrics(table)]
        intervals = bootstrap_metrics(table, tested, resamples=params.score.bootstrap, seed=params.seed)
        metrics |= {f"{name}_interval": list(ends) for name, ends in intervals.items()}
    followed = list_followed(truth, found, people)
    metrics["tracking"] = tracking_tree(truth, found, people, followed)
    metrics["tracked"] = cast("Yaml", tracked.as_dict())
    metrics["poses"] = cast("Yaml", poses.as_dict())
    protocol = stamp(
        params, about, benchmark="posetrack", boxes=str(about["boxes"]), data_hash=truth_hash(layout, name),
        num_images=sum(len(sequence.frames) for sequence in truth.values()), num_people=count_people(truth),
    )  # fmt: skip
    metrics["protocol"] = cast("Yaml", {**protocol.to_dict(), "mode": mode, "tracker": about["tracker"]})
    return ScoreFiles(
        metrics, video_rows(tracked, poses, people), videos_to_frame(table), plot=part_rows(tracked, poses), followed=followed
    )


def tracking_tree(truth: Sequences, found: Sequences, people: TrackingScore, followed: pd.DataFrame) -> dict[str, Yaml]:
    """The strict PoseTrack figures; people on OKS in total, by video and switch by switch; keypoint HOTA in total and by joint."""
    strict = score_posetrack(truth, found, mode="strict").as_dict()
    total, by_joint = score_keypoint_hota(truth, found)
    return {
        "strict": cast("Yaml", strict["metrics"]),
        "similarity": f"oks, pairs at {OKS_THRESHOLD} for identity and switches",
        **person_figures(people),
        "keypoint_hota": {**hota_figures(total), "joints": {joint: hota_figures(value)["hota"] for joint, value in by_joint.items()}},
        "videos": {name: person_figures(own) for name, own in people.sequences.items()},
        "switch_events": switch_events(followed),
    }


def person_figures(score: TrackingScore) -> dict[str, Yaml]:
    """HOTA, identity and track figures of whole people; fractions and counts."""
    tracks, identity = score.tracks, score.identity
    return {
        **hota_figures(score.hota), "idf1": identity.idf1, "idp": identity.idp, "idr": identity.idr,
        "person_mota": tracks.mota if tracks.objects else None, "switches": tracks.switches, "fragmentations": tracks.fragmentations,
        "mostly_tracked": tracks.mostly_tracked, "partially_tracked": tracks.partially_tracked, "mostly_lost": tracks.mostly_lost,
    }  # fmt: skip


def hota_figures(score: HotaScore) -> dict[str, Yaml]:
    """HOTA, deta, assa and loca, means over the thresholds."""
    values = score.metrics
    return {name: values[key] for name, key in HOTA_NAMES.items()}


def list_followed(truth: Sequences, found: Sequences, people: TrackingScore) -> pd.DataFrame:
    """Which track follows whom: a row for every scored person in every frame (video, frame number, ids in truth and tracks, OKS).

    ``track_id`` is -1 where nobody follows; ``previous_id`` is the track before, where this is a switch, else -1.
    """
    names = list(truth)
    numbers = {name: [frame.frame_index for frame in scored_frames(truth[name], found[name], "strict")] for name in names}
    rows = [
        (names[video], numbers[names[video]][match.frame], match.truth_id, match.predicted_id, 1 - match.distance, match.previous_id)
        for video, match in people.tracks.matches
    ]
    rows += [(names[video], numbers[names[video]][frame], person, -1, 0.0, None) for video, frame, person in people.tracks.missed]
    table = pd.DataFrame(rows, columns=["video_id", "frame_index", "person", "track_id", "oks", "previous_id"])
    kinds = {"frame_index": "int32", "person": "int64", "track_id": "int64", "oks": "float32", "previous_id": "int64"}
    table = table.fillna({"previous_id": -1}).astype(kinds)
    return table.sort_values(["video_id", "frame_index", "person"], ignore_index=True)


def switch_events(followed: pd.DataFrame) -> list[Yaml]:
    """Every change of the id that follows a person: video, frame number, the person's id in the truth, the old and the new id."""
    names = {"video_id": "video", "frame_index": "frame", "person": "person", "previous_id": "old_id", "track_id": "new_id"}
    switches = followed[followed["previous_id"] >= 0].rename(columns=names)[list(names.values())]
    return cast("list[Yaml]", switches.to_dict("records"))


def count_people(truth: Sequences) -> int:
    """Annotated people over all frames."""
    return sum(len(frame.people) for sequence in truth.values() for frame in sequence.frames)


def video_rows(tracked: PoseTrackScore, poses: PoseTrackScore, people: TrackingScore) -> pd.DataFrame:
    """One row a video."""
    rows = []
    for name, sequence in tracked.sequences.items():
        totals = {key: sequence.table.totals[key] for key in ("mota", "motp", "precision", "recall")}
        figures = people.sequences[name].metrics
        ids = {key: figures[key] for key in ("hota", "idf1")}
        counts = {key: int(figures[key]) for key in ("switches", "fragmentations", "mostly_tracked", "mostly_lost")}
        rows.append({"video_id": name, "map": poses.sequences[name].table.totals["map"], **totals, **ids, **counts})
    return pd.DataFrame(rows)


def part_rows(tracked: PoseTrackScore, poses: PoseTrackScore) -> list[Yaml]:
    """AP and MOTA of each body part."""
    pose_parts = cast("dict[str, dict[str, Yaml]]", poses.as_dict()["parts"])
    track_parts = cast("dict[str, dict[str, Yaml]]", tracked.as_dict()["parts"])
    return [{"part": part, "ap": pose_parts[part]["ap"], "mota": track_parts[part]["mota"]} for part in pose_parts]
