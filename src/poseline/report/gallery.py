"""Images of predicted against true poses: the best, the middle and the worst by OKS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.core.geometry import warp_points
from poseline.core.similarity import oks_pairs
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.images import read_image
from poseline.infer.draw import GROUND_TRUTH, PREDICTED, crop_to_box, draw_pose, image_uri

TILE_WH = (264, 330)
MIN_KEYPOINTS = 5
GROUPS = ("best", "median", "worst")


@dataclass(frozen=True)
class Image:
    """One embedded image: its data URI, size, what it shows in words, and a caption."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Cases:
    """People with their ground-truth and predicted poses in one skeleton, the predictions made in their ground-truth boxes.

    Attributes:
        people: the people.
        truth, visibility, predicted: [N, K, 2] pixels, [N, K], [N, K, 2] pixels.
        oks: [N].
    """

    people: PoseTable
    truth: np.ndarray
    visibility: np.ndarray
    predicted: np.ndarray
    oks: np.ndarray
    skeleton: Skeleton


def collect_cases(people: PoseTable, poses: PoseTable, *, dataset: str, source: Skeleton, target: Skeleton) -> Cases:
    """Every val person of enough keypoints beside the pose that was predicted in its own ground-truth box.

    A person that no pose matches at OKS 0.5 has no pose in the score's table; here it keeps the one made in its box, so that
    the worst cases can be seen.
    """
    made = poses.where(boxes="ground_truth")
    place = pd.Series(np.arange(len(made)), index=made.rows["annotation_id"])
    place = place[~place.index.duplicated()]
    own = people.where(dataset=dataset, split="val", is_crowd=False)
    own = own.select(own.rows["annotation_id"].isin(place.index))
    known = own.poses.convert(source, target)
    kept = (known.visibility > 0).sum(axis=1) >= MIN_KEYPOINTS
    own, known = own.select(kept), known.select(kept)
    points = made.poses.keypoints[place.loc[own.rows["annotation_id"]].to_numpy()]
    oks = oks_pairs(points, known.keypoints, known.visibility, known.area.astype(np.float64), target.sigma_array)
    return Cases(own, known.keypoints, known.visibility, points, oks, target)


def choose_cases(oks: np.ndarray, count: int) -> dict[str, list[int]]:
    """Places of the best, the middle and the worst, a third of ``count`` each; no person twice; ties by position.

    >>> choose_cases(np.array([0.1, 0.9, 0.5, 0.4]), 3)
    {'best': [1], 'median': [2], 'worst': [0]}
    """
    order = np.argsort(-oks, kind="stable")
    share = min(-(-count // 3), len(order) // 3)
    start = (len(order) - share) // 2
    best, median = order[:share], order[start : start + share]
    worst = order[len(order) - share :][::-1]
    return dict(zip(GROUPS, (best.tolist(), median.tolist(), worst.tolist()), strict=True))


def draw_gallery(
    people: PoseTable, poses: tuple[PoseTable, str], *, dataset: str, skeleton: str, count: int
) -> Mapping[str, list[Image]]:
    """Group -> images; empty groups where there are too few people.

    Args:
        people: annotated people in ``skeleton``.
        poses: predictions of the data set and their skeleton's name.
        dataset: whose people.
        skeleton: that of ``people``.
        count: images in all; each group gets a third, rounded up.
    """
    table, name = poses
    cases = collect_cases(people, table, dataset=dataset, source=load_skeleton(skeleton), target=load_skeleton(name))
    return {group: [draw_case(cases, place) for place in places] for group, places in choose_cases(cases.oks, count).items()}


def draw_case(cases: Cases, place: int) -> Image:
    """One person's surroundings with the true pose in white and the predicted one in colours."""
    row = cases.people.rows.iloc[place]
    box = cases.people.poses.bbox_xyxy[place]
    canvas, matrix = crop_to_box(read_image(Path(row["image_path"])), box, TILE_WH)
    shown = cases.visibility[place] > 0
    draw_pose(canvas, warp_points(cases.predicted[place], matrix), shown, cases.skeleton, PREDICTED)
    draw_pose(canvas, warp_points(cases.truth[place], matrix), shown, cases.skeleton, GROUND_TRUTH)
    labelled = int(shown.sum())
    oks, person, image = f"OKS {cases.oks[place]:.2f}", row["annotation_id"], row["image_id"]
    caption = f"{oks} · image {image}, person {person}"
    alt = f"Person {person} in image {image}: predicted over true pose, {labelled} keypoints, {oks}"
    return Image(image_uri(canvas), *TILE_WH, alt, caption)
