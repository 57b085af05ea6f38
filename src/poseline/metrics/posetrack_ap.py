"""Multi-person joint detection by PCKh, as PoseTrack does it: poses assigned to people first, then AP of every joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

PCKH_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class JointPairs:
    """All pairs of one frame.

    Attributes:
        distances: [P, G, J] between predicted and true joints in head sizes; inf where either is missing.
        within: [P, G, J] distance <= 0.5.
        person_of: [P] person assigned to each predicted pose, -1 for none.
    """

    distances: Float[np.ndarray, "P G J"]
    within: Bool[np.ndarray, "P G J"]
    person_of: Int[np.ndarray, " P"]


def head_sizes(head_xyxy: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """0.6 x the diagonal of each head box, pixels.

    >>> head_sizes(np.array([[0.0, 0, 30, 40]])).tolist()
    [30.0]
    """
    diagonal: Float[np.ndarray, " N"] = np.hypot(head_xyxy[:, 2] - head_xyxy[:, 0], head_xyxy[:, 3] - head_xyxy[:, 1])
    return 0.6 * diagonal


def pair_joints(
    predicted: Float[np.ndarray, "P J 2"],
    has_predicted: Bool[np.ndarray, "P J"],
    *,
    ground_truth: Float[np.ndarray, "G J 2"],
    has_ground_truth: Bool[np.ndarray, "G J"],
    head_size: Float[np.ndarray, " G"],
) -> JointPairs:
    """Joint distances of one frame and the person that each predicted pose is held against.

    A pose keeps only the person it shares the largest part of joints with; a person takes, of the poses that kept it, the best.

    Reference:
        Pishchulin et al., DeepCut, CVPR 2016 (the MPII multi-person protocol); poseval, PoseTrack 2017.
    """
    difference = ground_truth[None] - predicted[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.sqrt((difference**2).sum(axis=-1)) / head_size[None, :, None]
    distances = np.where(has_predicted[:, None] & has_ground_truth[None], distances, np.inf)
    within = distances <= PCKH_THRESHOLD
    fraction = within.sum(axis=2) / np.maximum(has_ground_truth.sum(axis=1), 1)[None]
    best_person = fraction.argmax(axis=1)
    rows = np.arange(len(fraction))
    kept = np.zeros_like(fraction)
    kept[rows, best_person] = fraction[rows, best_person]
    best_predicted = kept.argmax(axis=0)
    person_of = np.full(len(predicted), -1, dtype=np.int64)
    taken = np.flatnonzero(kept.max(axis=0) > 0)
    person_of[best_predicted[taken]] = taken
    return JointPairs(distances=distances, within=within, person_of=person_of)


def label_joints(pairs: JointPairs) -> Bool[np.ndarray, "P J"]:
    """Whether each predicted joint is a true positive: within reach of the joint of the assigned person."""
    assigned = pairs.person_of >= 0
    labels = np.zeros(pairs.within.shape[::2], dtype=bool)
    labels[assigned] = pairs.within[np.flatnonzero(assigned), pairs.person_of[assigned]]
    return labels


def rank_scores(scores: Float[np.ndarray, " D"]) -> Int[np.ndarray, " D"]:
    """Order of detections from the best score down; tied ones keep their order, on every machine.

    poseval reverses NumPy's default argsort, which leaves the order of ties to the processor's sort: where scores tie, its AP differs
    from machine to machine, and this one lies between the best and the worst order of the ties.

    >>> rank_scores(np.array([0.5, 0.9, 0.5, 0.9])).tolist()
    [1, 3, 0, 2]
    """
    return np.argsort(-scores, kind="stable")


def average_precision(labels: Bool[np.ndarray, " D"], num_ground_truth: int) -> tuple[float, float, float]:
    """AP, final precision and final recall of detections ranked best first; AP is the area under the envelope of precision.

    Reference:
        Everingham et al., PASCAL VOC 2010 on: all points.

    >>> [round(value, 4) for value in average_precision(np.array([True, False, True]), 4)]
    [0.4167, 0.6667, 0.5]
    """
    if not len(labels):
        return 0.0, 0.0, 0.0
    hits = np.cumsum(labels)
    precision = hits / np.arange(1, len(labels) + 1)
    if num_ground_truth == 0:
        return float("nan"), float(precision[-1]), float("nan")
    recall = hits / num_ground_truth
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0.0)
    return float((steps * envelope).sum()), float(precision[-1]), float(recall[-1])
