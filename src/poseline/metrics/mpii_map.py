"""MPII multi-person mAP: groups of people, poses assigned greedily, AP of each joint at half a head size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from poseline.errors import DataError
from poseline.metrics.pckh import MPII_GROUPS, MPII_JOINTS
from poseline.metrics.posetrack_ap import average_precision, label_joints, pair_joints, rank_scores

# The multi-person benchmark has 14 joints; upper neck and head top make up the head.
MULTI_JOINTS = tuple(joint for joint in range(16) if joint not in (6, 7))
MULTI_PARTS = MPII_GROUPS | {"head": (8, 9)}


@dataclass(frozen=True)
class GroupPeople:
    """N people (or poses) in groups.

    Attributes:
        group_ids: int64 [N].
        keypoints: float64 [N, 16, 2], pixels.
        present: bool [N, 16]: annotated, or predicted.
        scores: float64 [N, 16], of predicted joints; ones in ground_truth.
        head_size: float64 [N], pixels; ones in predictions.
    """

    group_ids: Int[np.ndarray, " N"]
    keypoints: Float[np.ndarray, "N 16 2"]
    present: Bool[np.ndarray, "N 16"]
    scores: Float[np.ndarray, "N 16"]
    head_size: Float[np.ndarray, " N"]


@dataclass(frozen=True)
class GroupScore:
    """mAP of the group protocol, fractions; None where nothing is annotated.

    Attributes:
        mean: of the seven parts.
        parts: head, shoulder, elbow, wrist, hip, knee, ankle -> AP: the mean of its joints.
        joints: name -> AP.
    """

    mean: float | None
    parts: dict[str, float | None]
    joints: dict[str, float | None]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Flat numbers for a metrics file: map, map_head, ..., map_ankle."""
        return {"map": self.mean} | {f"map_{name}": value for name, value in self.parts.items()}


@dataclass(frozen=True)
class LabelledGroups:
    """D poses of G groups with each joint right or wrong: enough to score any re-weighting of the groups.

    Attributes:
        group_ids: int64 [G].
        owners: int64 [D], each pose's position in ``group_ids``.
        labels: bool [D, 16], the joint is right.
        scores: float64 [D, 16].
        present: bool [D, 16], the joint is predicted.
        num_annotated: int64 [G, 16], annotated joints.
    """

    unit: ClassVar[str] = "groups"
    group_ids: Int[np.ndarray, " G"]
    owners: Int[np.ndarray, " D"]
    labels: Bool[np.ndarray, "D 16"]
    scores: Float[np.ndarray, "D 16"]
    present: Bool[np.ndarray, "D 16"]
    num_annotated: Int[np.ndarray, "G 16"]

    @property
    def image_ids(self) -> Int[np.ndarray, " G"]:
        """The groups: what is drawn in a resample, as images are elsewhere."""
        return self.group_ids

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the table gives."""
        return ("map", *(f"map_{name}" for name in MULTI_PARTS))

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        return metric in self.metrics

    def rate(self, weights: Integer[np.ndarray, "B G"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of group weights; NaN where nothing is annotated."""
        rated = [rate_groups(self, row.astype(np.int64)).metrics for row in weights]
        return {name: np.array([row[name] for row in rated], dtype=np.float64) for name in metrics}


def score_mpii_multi(ground_truth: GroupPeople, predictions: GroupPeople) -> GroupScore:
    """AP of every joint at PCKh 0.5 over the groups, and the mean of the seven parts.

    Within a group each pose goes to the person with whom it shares the largest part of joints, and each person keeps the best such
    pose; the joints of other poses are all false. Groups without people are left out.

    Raises:
        DataError: predictions for a group that the ground truth lacks.

    Reference:
        Pishchulin et al., DeepCut, CVPR 2016; MPII multi-person evaluation.
    """
    labelled = label_groups(ground_truth, predictions)
    return rate_groups(labelled, np.ones(len(labelled.group_ids), dtype=np.int64))


def label_groups(ground_truth: GroupPeople, predictions: GroupPeople) -> LabelledGroups:
    """Every pose's joints, right or wrong, group by group: what re-weighted groups are scored from.

    Raises:
        DataError: predictions for a group that the ground truth lacks.
    """
    groups = np.unique(ground_truth.group_ids)
    unknown = np.setdiff1d(predictions.group_ids, groups)
    if len(unknown):
        raise DataError(f"predictions: group {unknown[0]} is not in the ground truth ({len(unknown)} such groups). Give the same split.")
    labels, order, owners = [np.zeros((0, 16), bool)], [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    num_annotated = np.zeros((len(groups), 16), dtype=np.int64)
    for number, group in enumerate(groups):
        people, poses = np.flatnonzero(ground_truth.group_ids == group), np.flatnonzero(predictions.group_ids == group)
        num_annotated[number] = ground_truth.present[people].sum(axis=0)
        if not len(poses):
            continue
        pairs = pair_joints(
            predictions.keypoints[poses][:, MULTI_JOINTS],
            predictions.present[poses][:, MULTI_JOINTS],
            ground_truth=ground_truth.keypoints[people][:, MULTI_JOINTS],
            has_ground_truth=ground_truth.present[people][:, MULTI_JOINTS],
            head_size=ground_truth.head_size[people],
        )
        found = np.zeros((len(poses), 16), dtype=bool)
        found[:, MULTI_JOINTS] = label_joints(pairs)
        labels.append(found)
        order.append(poses)
        owners.append(np.full(len(poses), number))
    rows = np.concatenate(order)
    return LabelledGroups(
        groups, np.concatenate(owners), np.concatenate(labels), predictions.scores[rows], predictions.present[rows], num_annotated
    )


def rate_groups(labelled: LabelledGroups, weights: Integer[np.ndarray, " G"]) -> GroupScore:
    """The score with each group counted as often as its weight says."""
    rows = np.repeat(np.arange(len(labelled.owners)), weights[labelled.owners])
    joints = _rate_joints(labelled.labels[rows], labelled.scores[rows], labelled.present[rows], weights @ labelled.num_annotated)
    parts = {name: _mean([joints[MPII_JOINTS[member]] for member in members]) for name, members in MULTI_PARTS.items()}
    return GroupScore(mean=_mean(list(parts.values())), parts=parts, joints=joints)


def _rate_joints(
    labels: Bool[np.ndarray, "D 16"],
    scores: Float[np.ndarray, "D 16"],
    present: Bool[np.ndarray, "D 16"],
    num_annotated: Int[np.ndarray, " 16"],
) -> dict[str, float | None]:
    rated: dict[str, float | None] = {}
    for joint in MULTI_JOINTS:
        rows = np.flatnonzero(present[:, joint])
        order = rows[rank_scores(scores[rows, joint])]
        rated[MPII_JOINTS[joint]] = average_precision(labels[order, joint], int(num_annotated[joint]))[0] if num_annotated[joint] else None
    return rated


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
