"""Predictions as labels of images that nobody annotated: which of them are right often enough, by what a labelled set shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from poseline.artifacts import PoseTable
from poseline.config.params import Yaml
from poseline.core.boxes import box_area
from poseline.core.similarity import keypoint_similarity, oks_matrix
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import AREA_OF_BOX
from poseline.errors import DataError

RIGHT = 0.75
"""A person is right at this OKS with a ground-truth person, a keypoint where it alone would have this OKS."""
CONFIDENCE_Z = 1.2816
"""Standard errors of the bound that the precision must reach: 90 % on one side."""


@dataclass(frozen=True)
class Threshold:
    """A least score and what it keeps of the labelled set.

    Attributes:
        score: the least.
        precision: fraction of what is kept that is right.
        kept: how many.
        of: among so many.
    """

    score: float
    precision: float
    kept: int
    of: int


@dataclass(frozen=True)
class Outcomes:
    """Predictions on the labelled set, and which are right.

    Attributes:
        scores: of people.
        right: of people.
        keypoint_scores: of the labelled keypoints of right people.
        keypoints_right: of the same.
    """

    scores: Float[np.ndarray, " N"]
    right: Bool[np.ndarray, " N"]
    keypoint_scores: Float[np.ndarray, " M"]
    keypoints_right: Bool[np.ndarray, " M"]


def lowest_threshold(scores: Float[np.ndarray, " N"], right: Bool[np.ndarray, " N"], precision: float, *, what: str) -> Threshold:
    """The least score from which on so large a fraction is right, as the lower bound of its interval says (Wilson's, 90 % on one side).

    Raises:
        DataError: no score reaches it.

    >>> scores, right = np.linspace(0, 1, 101), np.arange(101) >= 50
    >>> lowest_threshold(scores, right, 0.9, what="people").score
    0.48
    """
    order = np.argsort(-scores, kind="stable")
    count = np.arange(1, len(order) + 1)
    fraction = np.cumsum(right[order]) / count
    bound = lower_bound(fraction, count)
    ends = np.append(scores[order][1:] < scores[order][:-1], True)[: len(order)]  # equal scores are kept together
    good = np.flatnonzero((bound >= precision) & ends)
    if not len(good):
        best = f"the best is {fraction[np.argmax(bound)]:.3f}, surely {bound.max():.3f}" if len(bound) else "there are none"
        raise DataError(
            f"no score of {what} reaches a precision of {precision:g} on the labelled set: {best}. Lower --precision, or train longer."
        )
    last = int(good[-1])
    return Threshold(float(scores[order][last]), float(fraction[last]), last + 1, len(order))


def lower_bound(fraction: Float[np.ndarray, " N"], count: np.ndarray) -> Float[np.ndarray, " N"]:
    """Wilson's lower bound of a fraction seen in so many cases."""
    squared = CONFIDENCE_Z**2 / count
    spread = CONFIDENCE_Z * np.sqrt(fraction * (1 - fraction) / count + squared / (4 * count))
    bound: np.ndarray = (fraction + squared / 2 - spread) / (1 + squared)
    return bound


def compare_to_people(found: PoseTable, people: PoseTable, skeleton: Skeleton) -> Outcomes:
    """Which poses are right: each ground-truth person has one, the best-scored that reaches OKS .75.

    Poses on people without labelled keypoints, or on crowds, are left out: nobody knows.

    Args:
        found: predicted poses.
        people: of the same images, in the same skeleton.
        skeleton: of both.
    """
    scores, right, keypoint_scores, keypoints_right = [], [], [], []
    by_image = dict(people.groups("image_id"))
    for image_id, poses in found.groups("image_id"):
        order = np.argsort(-poses.poses.pose_scores, kind="stable")
        own, known = poses.poses.select(order), by_image.get(image_id)
        if known is None:
            scores += own.pose_scores.tolist()
            right += [False] * len(own)
            continue
        labelled = known.select(~known.rows["is_crowd"] & (known.rows["num_keypoints"] > 0)).poses
        ignored = known.select(known.rows["is_crowd"] | (known.rows["num_keypoints"] == 0)).poses
        area = labelled.area.astype(np.float64)
        oks = oks_matrix(own.keypoints, labelled.keypoints, labelled.visibility, area, skeleton.sigma_array)
        free = np.ones(len(labelled), dtype=bool)
        for row in range(len(own)):
            mine = np.where(free, oks[row], -1.0)
            best = int(mine.argmax()) if len(mine) else -1
            if best >= 0 and mine[best] >= RIGHT:
                free[best] = False
                similarity = keypoint_similarity(own.keypoints[[row]], labelled.keypoints[[best]], area[[best]], skeleton.sigma_array)[0]
                seen = labelled.visibility[best] > 0
                keypoint_scores += own.keypoint_scores[row][seen].tolist()
                keypoints_right += (similarity[seen] >= RIGHT).tolist()
            elif _lies_in(own.bbox_xyxy[row], ignored.bbox_xyxy):
                continue
            scores.append(float(own.pose_scores[row]))
            right.append(best >= 0 and mine[best] >= RIGHT)
    return Outcomes(np.array(scores), np.array(right, bool), np.array(keypoint_scores), np.array(keypoints_right, bool))


def keep_labels(found: PoseTable, person: float, keypoint: float, known: Bool[np.ndarray, " K"]) -> PoseTable:
    """The people of at least the first score, their keypoints below the second marked as not labelled; nobody without a keypoint.

    ``known`` are the keypoints that the labelled set has at all: nothing is known about the scores of the others, which are not labelled.
    """
    kept = found.select(found.poses.pose_scores >= person)
    visibility = np.where((kept.poses.keypoint_scores >= keypoint) & known, 2, 0)
    kept = replace(kept, poses=replace(kept.poses, visibility=visibility))
    return kept.select(np.asarray(visibility.any(axis=1)))


def to_coco(images: pd.DataFrame, found: PoseTable, skeleton: Skeleton, info: dict[str, Yaml]) -> dict[str, Yaml]:
    """The content of an annotation file in COCO's form.

    Args:
        images: image_id, file_name, width, height.
        found: people with the visibility of their keypoints; image_id.
        skeleton: of the people.
        info: how they were made.
    """
    poses = found.poses
    sides = poses.bbox_xyxy[:, 2:] - poses.bbox_xyxy[:, :2]
    areas = AREA_OF_BOX * box_area(poses.bbox_xyxy)
    annotations: list[Yaml] = []
    for row, image_id in enumerate(found.rows["image_id"].tolist()):
        shown = poses.visibility[row] > 0
        triples = np.where(shown[:, None], np.column_stack([poses.keypoints[row], poses.visibility[row]]), 0.0)
        box = [*poses.bbox_xyxy[row, :2].tolist(), *sides[row].tolist()]
        annotations.append({
            "id": row + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0, "num_keypoints": int(shown.sum()),
            "keypoints": [round(value, 2) for value in triples.ravel().tolist()], "bbox": [round(value, 2) for value in box],
            "area": round(float(areas[row]), 2), "score": round(float(poses.pose_scores[row]), 6),
        })  # fmt: skip
    names: Sequence[str] = skeleton.keypoints
    category: dict[str, Yaml] = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(names), "skeleton": []}
    rows: list[Yaml] = [
        {"id": int(image_id), "file_name": str(name), "width": int(width), "height": int(height)}
        for image_id, name, width, height in images[["image_id", "file_name", "width", "height"]].itertuples(index=False)
    ]
    return {"info": info, "images": rows, "annotations": annotations, "categories": [category]}


def _lies_in(box: np.ndarray, others: np.ndarray) -> bool:
    """Whether half of a box lies in one of the others."""
    if not len(others):
        return False
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    return bool((shared >= 0.5 * box_area(box[None])[0]).any())
