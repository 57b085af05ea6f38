"""Sums by video: what PoseTrack and MOT metrics are made of, enough to score any re-weighting of the videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Real

from poseline.errors import DataError
from poseline.metrics.posetrack import JOINTS, PoseTrackScore, rank_joint, rate_tracking, tie_order
from poseline.metrics.posetrack_frames import PoseTrackMode
from poseline.metrics.tracking_score import TrackingScore

MAP_BLOCK = 100  # resamples at a time: the map takes an array of resamples x detections of a joint
JOINT_METRICS = ("mota", "motp", "precision", "recall")
PEOPLE_METRICS = ("hota", "det_a", "ass_a", "idf1")
_CLEAR = ("misses", "false_positives", "switches", "objects")
_IDENTITY = ("true_positives", "false_positives", "false_negatives")
_HOTA = ("true_positives", "false_negatives", "false_positives", "ass_a")


@dataclass(frozen=True, eq=False)
class RankedJoints:
    """Every predicted joint of every video.

    Attributes:
        video: int64 [D], its video's place in the table.
        joint: int64 [D], 0 to 14.
        rank: int64 [D], its place among the predictions of that joint over all videos, the best score first.
        label: bool [D], whether it is a true positive.
        num_ground_truth: int64 [V, 15], annotated joints.
    """

    video: Int[np.ndarray, " D"]
    joint: Int[np.ndarray, " D"]
    rank: Int[np.ndarray, " D"]
    label: Bool[np.ndarray, " D"]
    num_ground_truth: Int[np.ndarray, "V J"]


@dataclass(frozen=True, eq=False)
class PeopleSums:
    """Counts of whole people by video.

    Attributes:
        clear: float64 [V, 4]: misses, false positives, switches, objects.
        identity: float64 [V, 3]: explained detections, predictions and objects left over.
        hota: float64 [V, 4, 19]: true positives, false negatives, false positives, and association accuracy.
    """

    clear: Float[np.ndarray, "V 4"]
    identity: Float[np.ndarray, "V 3"]
    hota: Float[np.ndarray, "V 4 19"]


@dataclass(frozen=True, eq=False)
class VideoTable:
    """What tracked videos are scored by; each part may be missing, and with it its metrics.

    Attributes:
        image_ids: names of the videos, ascending: what is drawn in a resample, as images are elsewhere.
        mode: of the joints' metrics.
        joints: float64 [V, 6, 15], CLEAR MOT counts of each joint (mota, motp, precision, recall).
        ranked: predicted joints (map).
        people: counts of whole people (hota, det_a, ass_a, idf1, and mota where there are no joints).
    """

    unit: ClassVar[str] = "videos"
    image_ids: np.ndarray
    mode: PoseTrackMode = "poseval"
    joints: Float[np.ndarray, "V 6 15"] | None = None
    ranked: RankedJoints | None = None
    people: PeopleSums | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the table can give."""
        of_joints = JOINT_METRICS if self.joints is not None else ("mota",) if self.people is not None else ()
        return ("map",) * (self.ranked is not None) + of_joints + PEOPLE_METRICS * (self.people is not None)

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        return metric in self.metrics

    def rate(self, weights: Integer[np.ndarray, "B V"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of video weights (how often each was drawn); NaN where it is undefined.

        Raises:
            DataError: a metric that the table cannot give.
        """
        unknown = next((name for name in metrics if name not in self.metrics), None)
        if unknown is not None:
            raise DataError(f"unknown metric '{unknown}': this table gives {', '.join(self.metrics)}. Choose one of them.")
        drawn = weights.astype(np.float64)
        return {name: _rate(self, drawn, name) for name in metrics}


def tabulate_videos(
    *, poses: PoseTrackScore | None = None, tracked: PoseTrackScore | None = None, people: TrackingScore | None = None
) -> VideoTable:
    """The table of scores of the same videos.

    Args:
        poses: gives map.
        tracked: gives mota, motp, precision and recall; in the same mode.
        people: gives hota, det_a, ass_a and idf1.

    Raises:
        ValueError: nothing is given, or the scores are of different videos.
    """
    given = [score for score in (poses, tracked, people) if score is not None]
    names = sorted(given[0].sequences) if given else []
    if not names or any(sorted(score.sequences) != names for score in given):
        raise ValueError("video table: expected scores of the same videos")
    mode: PoseTrackMode = next((score.mode for score in (tracked, poses) if score is not None), "poseval")
    return VideoTable(
        image_ids=np.array(names, dtype=str),
        mode=mode,
        joints=None if tracked is None else np.stack([tracked.sequences[name].counts for name in names]),
        ranked=None if poses is None else _rank_joints(poses, names),
        people=None if people is None else _sum_people(people, names),
    )


def _rank_joints(score: PoseTrackScore, names: Sequence[str]) -> RankedJoints:
    place = {name: row for row, name in enumerate(names)}
    videos = tie_order(score.sequences, score.mode)
    owner = np.repeat([place[video.name] for video in videos], [len(video.detections.present) for video in videos])
    present, labels, scores = (
        np.concatenate([getattr(video.detections, part) for video in videos]) for part in ("present", "labels", "scores")
    )
    parts = []
    for joint in range(len(JOINTS)):
        order = rank_joint(present[:, joint], scores[:, joint])
        parts.append((owner[order], np.full(len(order), joint), np.arange(len(order)), labels[order, joint]))
    video, joints, rank, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    num_ground_truth = np.stack([score.sequences[name].detections.num_ground_truth for name in names]).astype(np.int64)
    return RankedJoints(video, joints, rank, label.astype(bool), num_ground_truth)


def _sum_people(score: TrackingScore, names: Sequence[str]) -> PeopleSums:
    videos = [score.sequences[name] for name in names]
    return PeopleSums(
        clear=np.array([[getattr(video.tracks, part) for part in _CLEAR] for video in videos], dtype=np.float64),
        identity=np.array([[getattr(video.identity, part) for part in _IDENTITY] for video in videos], dtype=np.float64),
        hota=np.array([[getattr(video.hota, part) for part in _HOTA] for video in videos], dtype=np.float64),
    )


def _rate(table: VideoTable, drawn: Float[np.ndarray, "B V"], metric: str) -> Float[np.ndarray, " B"]:
    if metric == "map":
        assert table.ranked is not None
        return _rate_map(table.ranked, drawn, table.mode)
    if metric in JOINT_METRICS and table.joints is not None:
        counts = np.tensordot(drawn, table.joints, axes=1)
        return _mean_defined(rate_tracking(counts, table.mode)[:, JOINT_METRICS.index(metric)])
    assert table.people is not None
    return _rate_people(table.people, drawn, metric)


def _rate_people(people: PeopleSums, drawn: Float[np.ndarray, "B V"], metric: str) -> Float[np.ndarray, " B"]:
    if metric == "mota":
        misses, false_positives, switches, objects = (drawn @ people.clear).T
        return 1 - _ratio(misses + false_positives + switches, objects)
    if metric == "idf1":
        right, wrong, missed = (drawn @ people.identity).T
        idf1: Float[np.ndarray, " B"] = right / np.maximum(1.0, right + 0.5 * (wrong + missed))
        return idf1
    found, missed, wrong = (drawn @ people.hota[:, part] for part in range(3))
    det_a = found / np.maximum(1, found + missed + wrong)
    ass_a = drawn @ (people.hota[:, 3] * people.hota[:, 0]) / np.maximum(1, found)
    values = {"det_a": det_a, "ass_a": ass_a, "hota": np.sqrt(det_a * ass_a)}[metric]
    return np.asarray(values.mean(axis=1))


def _rate_map(ranked: RankedJoints, drawn: Float[np.ndarray, "B V"], mode: PoseTrackMode) -> Float[np.ndarray, " B"]:
    num_ground_truth = drawn @ ranked.num_ground_truth
    ap = np.full((len(drawn), len(JOINTS)), np.nan)
    for joint in range(len(JOINTS)):
        rows = np.flatnonzero(ranked.joint == joint)
        if not len(rows) and mode == "poseval":  # counts 0 there, even where no person has the joint
            ap[:, joint] = 0.0
            continue
        rows = rows[np.argsort(ranked.rank[rows])]
        video, label = ranked.video[rows], ranked.label[rows]
        area = [_envelope_area(drawn[start : start + MAP_BLOCK, video], label) for start in range(0, len(drawn), MAP_BLOCK)]
        ap[:, joint] = _ratio(np.concatenate(area), num_ground_truth[:, joint])
    return _mean_defined(ap)


def _envelope_area(weights: Float[np.ndarray, "B P"], label: Bool[np.ndarray, " P"]) -> Float[np.ndarray, " B"]:
    """The area under the envelope of precision over hits, of ranked predictions that count as often as their weights say."""
    hits = np.cumsum(weights * label, axis=1)
    precision = hits / np.maximum(np.cumsum(weights, axis=1), 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    area: Float[np.ndarray, " B"] = (np.diff(hits, axis=1, prepend=0) * envelope).sum(axis=1)
    return area


def _ratio(part: Float[np.ndarray, " B"], whole: Real[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """Part over whole; NaN where there is nothing."""
    ratio: Float[np.ndarray, " B"] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio


def _mean_defined(values: Float[np.ndarray, "B J"]) -> Float[np.ndarray, " B"]:
    """Mean over the joints where it is not NaN; NaN where all is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))
