"""PoseTrack metrics: AP, MOTA, MOTP, precision and recall per joint, per part, per video and in total."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError
from poseline.metrics.clear_mot import ReachFrame, count_reach
from poseline.metrics.posetrack_ap import JointPairs, average_precision, label_joints, pair_joints, rank_scores
from poseline.metrics.posetrack_frames import PoseTrackMode, ScoredFrame

JOINTS = load_skeleton("posetrack15").keypoints
METRICS = ("ap", "ap_precision", "ap_recall", "mota", "motp", "precision", "recall")
COUNTS = ("misses", "switches", "false_positives", "objects", "detections", "distance")
PARTS: dict[str, tuple[str, ...]] = {
    "Head": ("head_top", "head_bottom", "nose"),
    "Shoulder": ("right_shoulder", "left_shoulder"),
    "Elbow": ("right_elbow", "left_elbow"),
    "Wrist": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankle": ("right_ankle", "left_ankle"),
}


@dataclass(frozen=True, eq=False)
class JointDetections:
    """Detections of every joint of one video, in frame order.

    Attributes:
        present: [D, 15] whether predicted pose d has the joint.
        scores: [D, 15].
        labels: [D, 15] true positive or not.
        num_ground_truth: [15] annotated joints.
    """

    present: Bool[np.ndarray, "D J"]
    scores: Float[np.ndarray, "D J"]
    labels: Bool[np.ndarray, "D J"]
    num_ground_truth: Int[np.ndarray, " J"]


@dataclass(frozen=True, eq=False)
class MetricTable:
    """The seven metrics of ``METRICS`` for the 15 joints of skeleton posetrack15, fractions [7, 15]; NaN where undefined."""

    values: Float[np.ndarray, "M J"]

    @property
    def totals(self) -> dict[str, float]:
        """Mean over the joints that are defined, as {map, ap_precision, ap_recall, mota, motp, precision, recall}."""
        defined = ~np.isnan(self.values)
        sums = np.where(defined, self.values, 0.0).sum(axis=1)
        means = np.divide(sums, defined.sum(axis=1), out=np.full(len(sums), np.nan), where=defined.any(axis=1))
        return {"map" if name == "ap" else name: float(mean) for name, mean in zip(METRICS, means, strict=True)}

    @property
    def joints(self) -> dict[str, dict[str, float]]:
        """Joint name -> metric -> fraction."""
        return {joint: dict(zip(METRICS, self.values[:, j].tolist(), strict=True)) for j, joint in enumerate(JOINTS)}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """Head to Ankle as means of their joints, and Total, the mean of all joints (not of the parts)."""
        rows = {part: self.values[:, [JOINTS.index(name) for name in names]].mean(axis=1).tolist() for part, names in PARTS.items()}
        table = {part: dict(zip(METRICS, row, strict=True)) for part, row in rows.items()}
        return {**table, "Total": {"ap" if name == "map" else name: value for name, value in self.totals.items()}}


@dataclass(frozen=True, eq=False)
class SequenceScore:
    """One video: its table, and what it is made of: detections and the counts [6, 15] of ``COUNTS``."""

    name: str
    table: MetricTable
    detections: JointDetections
    counts: Float[np.ndarray, "C J"]


@dataclass(frozen=True, eq=False)
class PoseTrackScore:
    """PoseTrack metrics as fractions.

    Attributes:
        mode: poseval (the published protocol, quirks included) or strict.
        table: of all videos together.
        sequences: by name.
    """

    mode: PoseTrackMode
    table: MetricTable
    sequences: dict[str, SequenceScore]

    @property
    def metrics(self) -> dict[str, float]:
        """Totals: map, ap_precision, ap_recall, mota, motp, precision, recall."""
        return self.table.totals

    @property
    def counts(self) -> dict[str, dict[str, float]]:
        """Joint -> misses, switches, false_positives, objects, detections, distance, summed over the videos."""
        total = np.sum([sequence.counts for sequence in self.sequences.values()], axis=0)
        return {joint: dict(zip(COUNTS, total[:, j].tolist(), strict=True)) for j, joint in enumerate(JOINTS)}


def score_frames(videos: Mapping[str, Sequence[ScoredFrame]], *, mode: PoseTrackMode = "poseval") -> PoseTrackScore:
    """The PoseTrack metrics of videos, given as their scored frames in this mode.

    ``poseval`` gives the published evaluation's values, with its peculiarities: the last scored frame of a video is left out of
    tracking; a frame with people but no prediction counts one object, one miss and one false positive per joint; frames without
    people in the ground truth are left out, false positives and all; a joint never predicted has AP 0 even where the ground truth
    lacks it; MOTP counts a pair's distance once as a candidate and once as a match (py-motmetrics' whole event table).
    A video of one scored frame has no tracking metrics there (the reference stops with an error).
    Tied scores follow the order of the videos, which poseval takes as the file system lists them; here it is reverse alphabetical,
    on every machine.
    ``strict`` counts every labelled frame, the last one too, as it is; joints without ground truth are left out; MOTP is 1 - the mean
    distance of the matches in head sizes; tied scores keep frame order.

    Raises:
        DataError: nothing is annotated.

    Reference:
        Andriluka et al., PoseTrack, CVPR 2018; poseval.
    """
    sequences: dict[str, SequenceScore] = {}
    for name, frames in videos.items():
        pairs = [_pair_frame(frame) for frame in frames]
        detections, counts = _collect_detections(frames, pairs), _count_tracking(frames, pairs, mode)
        sequences[name] = SequenceScore(name, tabulate([detections], counts, mode), detections, counts)
    parts = tie_order(sequences, mode)
    if not sum(int(part.detections.num_ground_truth.sum()) for part in parts):
        raise DataError(f"PoseTrack ground truth: none of {len(videos)} videos has an annotated joint to score. Give the labelled files.")
    total = tabulate([part.detections for part in parts], np.sum([part.counts for part in parts], axis=0), mode)
    return PoseTrackScore(mode=mode, table=total, sequences=sequences)


def tie_order(sequences: Mapping[str, SequenceScore], mode: PoseTrackMode) -> list[SequenceScore]:
    """Videos in the order that breaks ties of scores: reverse alphabetical for poseval, alphabetical for strict."""
    return [sequences[name] for name in sorted(sequences, reverse=mode == "poseval")]


def tabulate(detections: Sequence[JointDetections], counts: Float[np.ndarray, "C J"], mode: PoseTrackMode) -> MetricTable:
    """The table of one video, or of several together."""
    detected = _rate_detections(detections, mode)
    return MetricTable(np.concatenate([detected, rate_tracking(counts, mode)]))


def rate_tracking(counts: Float[np.ndarray, "... C J"], mode: PoseTrackMode) -> Float[np.ndarray, "... 4 J"]:
    """mota, motp, precision and recall per joint from counts; NaN without objects (or, in strict mode, without detections)."""
    misses, switches, false_positives, objects, found, distance = np.moveaxis(counts, -2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mota = np.where(objects > 0, 1 - (misses + switches + false_positives) / objects, np.nan)
        motp = np.where(found > 0, 1 - distance / found, 0.0 if mode == "poseval" else np.nan)
        precision = np.where(found + false_positives > 0, found / (found + false_positives), np.nan)
        recall = np.where(objects > 0, found / objects, np.nan)
    return np.stack([mota, motp, precision, recall], axis=-2)


def _pair_frame(frame: ScoredFrame) -> JointPairs | None:
    if not len(frame.ground_truth.joints) or not len(frame.predicted.joints):
        return None
    return pair_joints(
        frame.predicted.joints,
        frame.predicted.present,
        ground_truth=frame.ground_truth.joints,
        has_ground_truth=frame.ground_truth.present,
        head_size=frame.ground_truth.head_size,
    )


def _collect_detections(frames: Sequence[ScoredFrame], pairs: Sequence[JointPairs | None]) -> JointDetections:
    empty = np.zeros((0, len(JOINTS)))
    labels = [
        np.zeros(frame.predicted.present.shape, dtype=bool) if pair is None else label_joints(pair)
        for frame, pair in zip(frames, pairs, strict=True)
    ]
    return JointDetections(
        present=np.concatenate([empty.astype(bool), *(frame.predicted.present for frame in frames)]),
        scores=np.concatenate([empty, *(frame.predicted.scores for frame in frames)]),
        labels=np.concatenate([empty.astype(bool), *labels]),
        num_ground_truth=np.concatenate([empty.astype(bool), *(frame.ground_truth.present for frame in frames)]).sum(axis=0),
    )


def _rate_detections(detections: Sequence[JointDetections], mode: PoseTrackMode) -> Float[np.ndarray, "3 J"]:
    present = np.concatenate([part.present for part in detections])
    scores = np.concatenate([part.scores for part in detections])
    labels = np.concatenate([part.labels for part in detections])
    num_ground_truth = np.sum([part.num_ground_truth for part in detections], axis=0)
    columns = []
    for j in range(len(JOINTS)):
        rates = average_precision(labels[rank_joint(present[:, j], scores[:, j]), j], int(num_ground_truth[j]))
        columns.append((np.nan,) * 3 if mode == "strict" and not num_ground_truth[j] else rates)
    return np.array(columns).T


def rank_joint(present: Bool[np.ndarray, " D"], scores: Float[np.ndarray, " D"]) -> Int[np.ndarray, " P"]:
    """The rows in which a joint was predicted, from the best score down; ties keep the order of videos and frames."""
    rows = np.flatnonzero(present)
    return rows[rank_scores(scores[rows])]


def _count_tracking(frames: Sequence[ScoredFrame], pairs: Sequence[JointPairs | None], mode: PoseTrackMode) -> Float[np.ndarray, "C J"]:
    """The six counts of each joint, from one CLEAR MOT run per joint."""
    last = len(frames) - 1 if mode == "poseval" else len(frames)
    by_frame = [_reach_frames(frame, pair, mode) for frame, pair in zip(frames[:last], pairs[:last], strict=True)]
    counts = np.zeros((len(COUNTS), len(JOINTS)))
    for j in range(len(JOINTS)):
        found = count_reach(joints[j] for joints in by_frame)
        distance = found.event_distance if mode == "poseval" else found.distance
        counts[:, j] = found.misses, found.switches, found.false_positives, found.objects, found.detections, distance
    return counts


def _reach_frames(frame: ScoredFrame, pairs: JointPairs | None, mode: PoseTrackMode) -> list[ReachFrame]:
    """The frame as each joint's tracking sees it."""
    if pairs is None and mode == "poseval":
        return [ReachFrame([0], [0], {})] * len(JOINTS)
    reach: list[dict[tuple[Hashable, Hashable], float]] = [{} for _ in JOINTS]
    ground_truth_ids, predicted_ids = frame.ground_truth.track_ids.tolist(), frame.predicted.track_ids.tolist()
    if pairs is not None:
        joints, ground_truth, predicted = np.nonzero(pairs.within.transpose(2, 1, 0))
        distances = pairs.distances[predicted, ground_truth, joints].tolist()
        for j, i, p, distance in zip(joints.tolist(), ground_truth.tolist(), predicted.tolist(), distances, strict=True):
            reach[j][ground_truth_ids[i], predicted_ids[p]] = distance
    columns = zip(frame.ground_truth.present.T.tolist(), frame.predicted.present.T.tolist(), reach, strict=True)
    return [ReachFrame(list(compress(ground_truth_ids, own)), list(compress(predicted_ids, other)), near) for own, other, near in columns]
