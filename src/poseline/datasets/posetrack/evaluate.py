"""PoseTrack's protocol: mAP of poses, MOTA and its kin of tracked joints, and beside them HOTA and identity of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.config import ScoreConfig
from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.files import PoseTrackSequence, read_folder, write_sequence
from poseline.datasets.posetrack.scoring import list_followed, score_keypoint_hota, score_pose_tracking, score_posetrack
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, Headline, PlotRow
from poseline.datasets.score import KeypointHota, NotScored, PersonTracking, PoseTrackTables, SwitchEvent, Tracking
from poseline.errors import DataError
from poseline.metrics.hota import HotaScore
from poseline.metrics.posetrack import PoseTrackScore
from poseline.metrics.tracking_score import TrackingScore
from poseline.metrics.video_table import tabulate_videos

OKS_THRESHOLD = 0.5
# HOTA's parts under the names of the papers' tables.
HOTA_NAMES = {"hota": "hota", "deta": "det_a", "assa": "ass_a", "loca": "loc_a"}
JOINT_METRICS = ("mota", "motp", "precision", "recall")
Videos = dict[str, PoseTrackSequence]


@dataclass(frozen=True, eq=False)
class Submissions:
    """What the benchmark's two tasks take: tracked poses, and all poses frame by frame (the tracked ones where no others are given)."""

    tracked: Videos
    poses: Videos


class PoseTrack(EvaluationProtocol[Videos, Submissions]):
    """PoseTrack videos."""

    name = "posetrack"
    title = "PoseTrack"
    headline = (
        Headline("mota", "MOTA", "One minus misses, false joints and id switches per ground-truth joint."),
        Headline("map", "mAP", "Mean joint AP of the per-frame poses."),
        Headline("precision", "precision"),
        Headline("recall", "recall"),
    )
    gateable = r"map|mota|motp|precision|recall|hota|idf1"
    signed = frozenset({"mota"})
    tracked = True

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> Videos:
        """The videos of a folder."""
        return read_folder(path)

    def read_predictions(self, path: Path, ground_truth: Videos) -> Submissions:
        """The videos of a folder; a folder with ``tracked`` and ``poses`` in it holds both submissions."""
        if (path / "tracked").is_dir() and (path / "poses").is_dir():
            return Submissions(read_folder(path / "tracked"), read_folder(path / "poses"))
        videos = read_folder(path)
        return Submissions(videos, videos)

    def from_poses(self, table: PoseTable, ground_truth: Videos) -> Submissions:
        """Tracked poses by video and frame number."""
        videos = _sequences(table, ground_truth)
        return Submissions(videos, videos)

    def write_predictions(self, path: Path, table: PoseTable, ground_truth: Videos) -> None:
        """Write one file a video into a folder."""
        for name, sequence in _sequences(table, ground_truth).items():
            write_sequence(path / f"{name}.json", sequence)

    def evaluate(self, ground_truth: Videos, predictions: Submissions, options: ScoreConfig) -> Evaluation:
        """The PoseTrack metrics by ``posetrack_mode``, and what other measures say of the same tracks.

        ``map`` is of the poses; ``mota``, ``motp``, ``precision``, ``recall``, ``hota`` and ``idf1`` are of the tracked poses, whose
        own mAP is ``map_tracked``. Section ``tracking`` has the strict metrics, HOTA and identity on OKS, keypoint HOTA and every
        switch. Tracks that the strict rules refuse and poseval takes are scored without it.
        """
        mode, found = options.posetrack_mode, predictions.tracked
        tracked = score_posetrack(ground_truth, found, mode=mode)
        poses = tracked if predictions.poses is found else score_posetrack(ground_truth, predictions.poses, mode=mode)
        metrics = {"map": poses.metrics["map"], "map_tracked": tracked.metrics["map"]}
        metrics |= {key: tracked.metrics[key] for key in JOINT_METRICS}
        people, followed, tracking = None, None, None
        try:
            people = score_pose_tracking(ground_truth, found, threshold=OKS_THRESHOLD)
            followed = list_followed(ground_truth, found, people)
            tracking = rate_tracks(ground_truth, found, people, followed)
        except DataError as error:
            refused = NotScored(not_scored=str(error))
        else:
            metrics |= {name: people.metrics[name] for name in ("hota", "idf1")}
        return Evaluation(
            metrics=metrics,
            num_images=sum(len(sequence.frames) for sequence in ground_truth.values()),
            num_people=sum(len(frame.people) for sequence in ground_truth.values() for frame in sequence.frames),
            table=tabulate_videos(poses=poses, tracked=tracked, people=people if tracking else None),
            sections={"tracking": tracking or refused, "tracked": list_tables(tracked), "poses": list_tables(poses)},
            people=tabulate_rows(tracked, poses, people if tracking else None),
            plot=plot_parts(tracked, poses),
            mode=mode,
            followed=followed if tracking else None,
        )


def rate_tracks(ground_truth: Videos, found: Videos, people: TrackingScore, followed: pd.DataFrame) -> Tracking:
    """The strict PoseTrack metrics; people on OKS in total, by video and switch by switch; keypoint HOTA in total and by joint."""
    total, by_joint = score_keypoint_hota(ground_truth, found)
    joints = {joint: score.metrics["hota"] for joint, score in by_joint.items()}
    return Tracking(
        strict=score_posetrack(ground_truth, found, mode="strict").metrics,
        similarity=f"oks, pairs at {OKS_THRESHOLD} for identity and switches",
        keypoint_hota=KeypointHota(**_hota(total), joints=joints),
        videos={name: rate_people(own) for name, own in people.sequences.items()},
        switch_events=list_switches(followed),
        **dict(rate_people(people)),
    )


def rate_people(score: TrackingScore) -> PersonTracking:
    """HOTA, identity and track metrics of whole people."""
    tracks, identity = score.tracks, score.identity
    return PersonTracking(
        **_hota(score.hota),
        idf1=identity.idf1,
        idp=identity.idp,
        idr=identity.idr,
        person_mota=tracks.mota,
        switches=tracks.switches,
        fragmentations=tracks.fragmentations,
        mostly_tracked=tracks.mostly_tracked,
        partially_tracked=tracks.partially_tracked,
        mostly_lost=tracks.mostly_lost,
    )


def _hota(score: HotaScore) -> dict[str, float]:
    values = score.metrics
    return {name: values[key] for name, key in HOTA_NAMES.items()}


def list_switches(followed: pd.DataFrame) -> list[SwitchEvent]:
    """Every change of the id that follows a person."""
    names = {"video_id": "video", "frame_index": "frame", "person": "person", "previous_id": "old_id", "track_id": "new_id"}
    switches = followed[followed["previous_id"] >= 0].rename(columns=names)[list(names.values())]
    return [SwitchEvent.model_validate(row) for row in switches.to_dict("records")]


def list_tables(score: PoseTrackScore) -> PoseTrackTables:
    """Every table of one submission."""
    return PoseTrackTables(
        mode=score.mode,
        metrics=score.metrics,
        parts=score.table.parts,
        joints=score.table.joints,
        counts=score.counts,
        sequences={name: sequence.table.totals for name, sequence in score.sequences.items()},
    )


def tabulate_rows(tracked: PoseTrackScore, poses: PoseTrackScore, people: TrackingScore | None) -> pd.DataFrame:
    """One row a video."""
    rows = []
    for name, sequence in tracked.sequences.items():
        totals = {key: sequence.table.totals[key] for key in JOINT_METRICS}
        row: dict[str, object] = {"video_id": name, "map": poses.sequences[name].table.totals["map"], **totals}
        if people is not None:
            own = people.sequences[name].metrics
            row |= {key: own[key] for key in ("hota", "idf1")}
            row |= {key: int(own[key]) for key in ("switches", "fragmentations", "mostly_tracked", "mostly_lost")}
        rows.append(row)
    return pd.DataFrame(rows)


def plot_parts(tracked: PoseTrackScore, poses: PoseTrackScore) -> list[PlotRow]:
    """AP and MOTA of each body part; null where undefined."""
    pose_parts, track_parts = poses.table.parts, tracked.table.parts
    rows = ((part, pose_parts[part]["ap"], track_parts[part]["mota"]) for part in pose_parts)
    return [{"part": part, "ap": _known(ap), "mota": _known(mota)} for part, ap, mota in rows]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _sequences(table: PoseTable, ground_truth: Mapping[str, PoseTrackSequence]) -> Videos:
    """The ground truth's videos with these poses in their frames."""
    by_frame = {}
    for key, rows in table.rows.groupby(["video_id", "frame_index"], sort=False).indices.items():
        by_frame[key] = table.poses.select(np.asarray(rows))
    empty = PoseSet.empty(17)
    return {
        name: PoseTrackSequence(name, tuple(f.with_people(by_frame.get((name, f.frame_index), empty)) for f in video.frames))
        for name, video in ground_truth.items()
    }
