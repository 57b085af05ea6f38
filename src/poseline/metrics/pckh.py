"""PCKh: the fraction of keypoints within a fraction of the head size (MPII single-person protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Shaped

from poseline.core.similarity import pck_distances
from poseline.errors import DataError

MPII_JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
    "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
MPII_GROUPS: dict[str, tuple[int, ...]] = {
    "head": (9,),
    "shoulder": (12, 13),
    "elbow": (11, 14),
    "wrist": (10, 15),
    "hip": (2, 3),
    "knee": (1, 4),
    "ankle": (0, 5),
}
# Pelvis and thorax are left out of the mean, as in the official tables.
MPII_MEAN_JOINTS = tuple(joint for joint in range(16) if joint not in (6, 7))
AUC_THRESHOLDS = np.linspace(0.0, 0.5, 51)
PCKH_LIMITS = {"pckh": 0.5, "pckh_01": 0.1}


@dataclass(frozen=True)
class PckhScore:
    """PCKh of one set of predictions.

    Attributes:
        threshold: head sizes within which a keypoint is right.
        mean: fraction over all counted keypoints (weighted by how many of each joint there are); None without any.
        joints: name -> fraction; None for a joint that is never annotated.
        groups: head, shoulder, elbow, wrist, hip, knee, ankle -> fraction: the mean of the left and the right joint.
        counts: name -> annotated keypoints.
        mean_at_01: the mean at 0.1 head sizes.
        auc: mean of the mean over thresholds 0, 0.01, ..., 0.5.
        distances: [N, 16], head sizes; NaN where the joint is not annotated.
    """

    threshold: float
    mean: float | None
    joints: dict[str, float | None]
    groups: dict[str, float | None]
    counts: dict[str, int]
    mean_at_01: float | None
    auc: float | None
    distances: Float[np.ndarray, "N 16"]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Flat numbers for a metrics file: pckh, pckh_01, auc, pckh_head, ..., pckh_ankle."""
        flat = {"pckh": self.mean, "pckh_01": self.mean_at_01, "auc": self.auc}
        return flat | {f"pckh_{name}": value for name, value in self.groups.items()}


@dataclass(frozen=True)
class DistanceTable:
    """PCKh distances by image; enough to score any re-weighting of images.

    Attributes:
        image_ids: int64 [I], ascending.
        image_index: int64 [N], each person's image.
        distances: float64 [N, 16], head sizes; NaN where not annotated.
    """

    unit: ClassVar[str] = "images"
    image_ids: Int[np.ndarray, " I"]
    image_index: Int[np.ndarray, " N"]
    distances: Float[np.ndarray, "N 16"]

    @classmethod
    def from_people(cls, image_ids: Int[np.ndarray, " N"], distances: Float[np.ndarray, "N 16"]) -> DistanceTable:
        """The table from each person's image id and distances."""
        ids, index = np.unique(np.asarray(image_ids, dtype=np.int64), return_inverse=True)
        return cls(image_ids=ids, image_index=index, distances=np.asarray(distances, dtype=np.float64))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the table gives."""
        return ("pckh", "pckh_01", "auc", *(f"pckh_{part}" for part in MPII_GROUPS))

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        return metric in self.metrics

    def rate(self, weights: Integer[np.ndarray, "B I"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of image weights; NaN where nothing is annotated.

        Raises:
            DataError: a metric that the table cannot give.
        """
        return {name: _rate_pckh(self, weights, name) for name in metrics}


def score_pckh(
    predicted: Float[np.ndarray, "N 16 2"],
    ground_truth: Float[np.ndarray, "N 16 2"],
    missing: Bool[np.ndarray, "N 16"],
    head_size: Float[np.ndarray, " N"],
    *,
    threshold: float = 0.5,
) -> PckhScore:
    """PCKh at the threshold, at 0.1, and its area under the curve.

    Args:
        predicted: pixels, MPII's joint order.
        ground_truth: pixels.
        missing: the joint is not annotated and does not count.
        head_size: 0.6 times the diagonal of the head box, pixels.
        threshold: head sizes; a distance equal to it is right.

    Raises:
        ValueError: shapes that do not agree, predictions that are not finite, or a head size that is not above 0.

    Reference:
        Andriluka et al., 2D Human Pose Estimation: New Benchmark, CVPR 2014; MPII evaluation toolkit, evalPCKh.

    >>> ground_truth = np.zeros((1, 16, 2))
    >>> predicted = np.tile([[[3.0, 4.0]]], (1, 16, 1))
    >>> score_pckh(predicted, ground_truth, np.zeros((1, 16), bool), np.array([10.0])).mean
    1.0
    """
    predicted, ground_truth = np.asarray(predicted, dtype=np.float64), np.asarray(ground_truth, dtype=np.float64)
    missing, head_size = np.asarray(missing, dtype=bool), np.asarray(head_size, dtype=np.float64)
    _check_shapes(predicted, ground_truth, missing, head_size)
    distances = pck_distances(predicted, np.where(missing[..., None], 0, ground_truth), head_size)
    distances[missing] = np.nan
    return summarize_distances(distances, threshold=threshold)


def summarize_distances(distances: Float[np.ndarray, "N 16"], *, threshold: float = 0.5) -> PckhScore:
    """PCKh from distances in head sizes, NaN where a joint is not annotated."""
    right = distances <= threshold
    counts = (~np.isnan(distances)).sum(axis=0)
    joints = [_ratio(int(hits), int(total)) for hits, total in zip(right.sum(axis=0), counts, strict=True)]
    return PckhScore(
        threshold=threshold,
        mean=mean_pckh(distances, threshold),
        joints=dict(zip(MPII_JOINTS, joints, strict=True)),
        groups={name: _mean([joints[member] for member in members]) for name, members in MPII_GROUPS.items()},
        counts={name: int(count) for name, count in zip(MPII_JOINTS, counts, strict=True)},
        mean_at_01=mean_pckh(distances, 0.1),
        auc=_mean([mean_pckh(distances, float(at)) for at in AUC_THRESHOLDS]),
        distances=distances,
    )


def mean_pckh(distances: Float[np.ndarray, "N 16"], threshold: float) -> float | None:
    """Fraction of all annotated keypoints (but pelvis and thorax) within the threshold; None without any."""
    chosen = distances[:, MPII_MEAN_JOINTS]
    return _ratio(int((chosen <= threshold).sum()), int((~np.isnan(chosen)).sum()))


def head_size_from_box(head_xyxy: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """0.6 times the diagonal of the head box, pixels.

    >>> head_size_from_box(np.array([[0.0, 0, 30, 40]])).tolist()
    [30.0]
    """
    box = np.asarray(head_xyxy, dtype=np.float64)
    return 0.6 * np.linalg.norm(box[:, 2:] - box[:, :2], axis=1)


def _check_shapes(
    predicted: Float[np.ndarray, "N 16 2"],
    ground_truth: Float[np.ndarray, "N 16 2"],
    missing: Bool[np.ndarray, "N 16"],
    head_size: np.ndarray,
) -> None:
    count = len(ground_truth)
    expected = {"truth": (count, 16, 2), "predicted": (count, 16, 2), "missing": (count, 16), "head_size": (count,)}
    for name, array in {"truth": ground_truth, "predicted": predicted, "missing": missing, "head_size": head_size}.items():
        if array.shape != expected[name]:
            raise ValueError(f"{name}: expected shape {expected[name]}, got {array.shape}")
    bad = ~np.isfinite(predicted).all(axis=2) & ~missing
    if bad.any():
        person, joint = np.argwhere(bad)[0]
        raise ValueError(f"predicted: person {person}, {MPII_JOINTS[joint]}: expected a finite position, got NaN or infinity")
    if not (head_size > 0).all() or not np.isfinite(head_size).all():
        raise ValueError(f"head_size: person {int(np.argmin(head_size > 0))}: expected a size above 0 px")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _rate_pckh(table: DistanceTable, weights: Integer[np.ndarray, "B I"], name: str) -> Float[np.ndarray, " B"]:
    if name in PCKH_LIMITS:
        chosen = table.distances[:, MPII_MEAN_JOINTS]
        return _rate_weighted(table, (chosen <= PCKH_LIMITS[name]).sum(axis=1), (~np.isnan(chosen)).sum(axis=1), weights)
    if name == "auc":
        chosen = table.distances[:, MPII_MEAN_JOINTS, None]
        right = (chosen <= AUC_THRESHOLDS).mean(axis=2).sum(axis=1)
        return _rate_weighted(table, right, (~np.isnan(chosen[..., 0])).sum(axis=1), weights)
    members = MPII_GROUPS.get(name.removeprefix("pckh_"))
    if members is None:
        parts = ", ".join(f"pckh_{part}" for part in MPII_GROUPS)
        raise DataError(f"unknown metric '{name}': this table gives pckh, pckh_01, auc, {parts}. Choose one of them.")
    joints = [table.distances[:, member] for member in members]
    return np.mean([_rate_weighted(table, joint <= 0.5, ~np.isnan(joint), weights) for joint in joints], axis=0)


def _rate_weighted(
    table: DistanceTable, right: Shaped[np.ndarray, " N"], annotated: Shaped[np.ndarray, " N"], weights: Integer[np.ndarray, "B I"]
) -> Float[np.ndarray, " B"]:
    """Right over annotated keypoints of all people under each row of image weights; NaN where nothing is annotated."""
    num_images = len(table.image_ids)
    hits, total = (weights @ np.bincount(table.image_index, values, minlength=num_images) for values in (right, annotated))
    rate: Float[np.ndarray, " B"] = np.divide(hits, total, out=np.full(len(weights), np.nan), where=total > 0)
    return rate
