"""Questions about a whole split: would another reading of its numbers explain the file better than the format's own?

A single odd box is a finding on a person; a file whose every box is odd in the same way was written by other rules. Each question holds the
format's reading against another one, person by person, and counts who fits which. Pure NumPy on the annotations as the file gives them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from poseline.core.boxes import box_area
from poseline.datasets.annotations import Annotations, clean_keypoints

MIN_KEYPOINTS = 4
MIN_GAIN = 0.15
"""A person speaks for the reading that raises the fit (IoU of the box and the keypoints' extent) by this much; others for none."""
MIN_VOTES = 5
MAJORITY = 0.8
MIN_TOUCHING = 3
MAX_SHOWN = 4
AS_EXPECTED = "as expected"
MIN_Z = 3.0
"""Standard errors by which the fractions of two splits differ when one of them has its sides exchanged."""


@dataclass(frozen=True)
class Votes:
    """Who fits which reading.

    Attributes:
        reading: the one that fits best beside the format's own, in words.
        other: people whom it explains better.
        own: people whom the format's own explains better.
        shown: rows of people whom it explains better.
    """

    reading: str = ""
    other: int = 0
    own: int = 0
    shown: tuple[int, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the other reading explains the file better."""
        return self.other >= max(MIN_VOTES, MAJORITY * (self.other + self.own))

    @property
    def verdict(self) -> str:
        """``as expected``, or the reading that fits and how many people say so."""
        return f"{self.reading}: fits {self.other} of {self.other + self.own} people better" if self.fits else AS_EXPECTED


def box_readings(given: Float[np.ndarray, "N 4"]) -> dict[str, Float[np.ndarray, "N 4"]]:
    """Corners of the boxes by each way to read the four numbers of a file that should be x, y, width, height."""
    x, y, w, h = given.T
    return {
        "boxes are x1, y1, x2, y2": given,
        "boxes are centre x, centre y, width, height": np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1),
        "boxes are y, x, height, width": np.stack([y, x, y + h, x + w], axis=1),
    }


def keypoint_readings(
    points: Float[np.ndarray, "N K 2"], box: Float[np.ndarray, "N 4"], size_wh: Float[np.ndarray, "N 2"]
) -> dict[str, Float[np.ndarray, "N K 2"]]:
    """Pixels of the keypoints by each way to read their two numbers that should be x, y."""
    return {
        "keypoints are y, x": points[..., ::-1],
        "keypoints are fractions of the image's width and height": points * size_wh[:, None],
        "keypoints count from the box's corner": points + box[:, None, :2],
    }


def vote_boxes(annotations: Annotations) -> Votes:
    """Whether boxes are x, y, width, height; nobody votes where the format's boxes are made by its reader."""
    raw = annotations.raw
    if annotations.loose_boxes:
        return Votes()
    points, labelled, size_wh = _labelled(annotations)
    given = np.nan_to_num(np.concatenate([raw.bbox_xyxy[:, :2], raw.bbox_xyxy[:, 2:] - raw.bbox_xyxy[:, :2]], axis=1), posinf=0, neginf=0)
    own = fit(points, labelled, raw.bbox_xyxy, size_wh)
    return _best({reading: fit(points, labelled, box, size_wh) for reading, box in box_readings(given).items()}, own)


def vote_keypoints(annotations: Annotations) -> Votes:
    """Whether keypoints are x, y in pixels of the image."""
    raw = annotations.raw
    points, labelled, size_wh = _labelled(annotations)
    box = np.nan_to_num(raw.bbox_xyxy, posinf=0, neginf=0)
    own = fit(points, labelled, box, size_wh)
    readings = keypoint_readings(points, box, np.nan_to_num(size_wh))
    return _best({reading: fit(other, labelled, box, size_wh) for reading, other in readings.items()}, own)


def fit(
    points: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], box: Float[np.ndarray, "N 4"], size_wh: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, " N"]:
    """IoU of each box with the extent of the labelled keypoints, times the fractions of both that lie in the image; 0 for no box."""
    low = np.where(labelled[..., None], points, np.inf).min(axis=1)
    high = np.where(labelled[..., None], points, -np.inf).max(axis=1)
    extent = np.nan_to_num(np.concatenate([low, high], axis=1), posinf=0, neginf=0)
    extent[:, 2:] = np.maximum(extent[:, 2:], extent[:, :2] + 1)
    box = np.nan_to_num(box, posinf=0, neginf=0)
    good = (box[:, 2:] > box[:, :2]).all(axis=1)
    size = np.where(np.isfinite(size_wh), size_wh, np.inf)
    common = box_area(_clip(extent, box[:, :2], box[:, 2:]))
    iou = common / np.maximum(box_area(extent) + box_area(box) - common, 1e-9)
    inside = np.ones(len(box))
    for shape in (extent, box):
        inside *= box_area(_clip(shape, np.zeros_like(size), size)) / np.maximum(box_area(shape), 1e-9)
    return np.where(good, iou * inside, 0.0)


def _clip(box: Float[np.ndarray, "N 4"], low: Float[np.ndarray, "N 2"], high: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 4"]:
    clipped: Float[np.ndarray, "N 4"] = np.clip(box, np.tile(low, 2), np.tile(high, 2))
    return clipped


def _best(others: dict[str, Float[np.ndarray, " N"]], own: Float[np.ndarray, " N"]) -> Votes:
    """The reading with the most votes."""
    votes = [
        Votes(reading, int((other > own + MIN_GAIN).sum()), int((own > other + MIN_GAIN).sum()),
              tuple(np.flatnonzero(other > own + MIN_GAIN)[:MAX_SHOWN].tolist()))
        for reading, other in others.items()
    ]  # fmt: skip
    return max(votes, key=lambda vote: (vote.fits, vote.other - vote.own))


def _labelled(annotations: Annotations) -> tuple[Float[np.ndarray, "N K 2"], Bool[np.ndarray, "N K"], Float[np.ndarray, "N 2"]]:
    """Keypoints, which are labelled (none of people with fewer than four, and of crowds), and the images' sizes, NaN where unknown."""
    raw = annotations.raw
    points, visibility = clean_keypoints(raw.keypoints, raw.visibility)
    labelled = visibility > 0
    labelled &= ((labelled.sum(axis=1) >= MIN_KEYPOINTS) & ~raw.is_crowd)[:, None]
    sizes = annotations.images.drop_duplicates("image_id").set_index("image_id")[["width", "height"]].astype(np.float64)
    found = sizes.reindex(raw.image_id).to_numpy()
    return points.astype(np.float64), labelled, np.where(found > 0, found, np.nan)


def count_from_one(annotations: Annotations) -> str:
    """``as expected``, or how the boxes show that pixels count from 1.

    It can be told only of boxes that are cut at the image's edges: where none begins before pixel 1, several begin exactly there, and
    several end beyond the image's size by 1, the file counts from 1.
    """
    raw = annotations.raw
    if annotations.loose_boxes:
        return AS_EXPECTED
    _, _, size_wh = _labelled(annotations)
    known = np.isfinite(raw.bbox_xyxy).all(axis=1) & np.isfinite(size_wh).all(axis=1)
    low, beyond = raw.bbox_xyxy[known, :2], raw.bbox_xyxy[known, 2:] - size_wh[known]
    touching, ending = int((np.abs(low - 1) < 0.01).sum()), int((np.abs(beyond - 1) < 0.01).sum())
    if (low < 0.99).any() or (beyond > 1.01).any() or min(touching, ending) < MIN_TOUCHING:
        return AS_EXPECTED
    return f"pixels count from 1: {touching} boxes begin at pixel 1 and none before it, {ending} end one pixel beyond the image"


@dataclass(frozen=True)
class Sides:
    """On which side people of a split have their left.

    Attributes:
        facing: whether people are counted whose eyes or nose and ears are seen, so that they face the camera; else everybody.
        usual: people (tracks of videos) whose left is on the image's right when upright, as of somebody who faces the camera.
        exchanged: those with their left on the image's left.
        shown: rows of some of them.
    """

    facing: bool = False
    usual: int = 0
    exchanged: int = 0
    shown: tuple[int, ...] = ()

    @property
    def fraction(self) -> float:
        """Of people as somebody who faces the camera, 0..1."""
        return self.usual / max(self.usual + self.exchanged, 1)


def count_sides(annotations: Annotations) -> Sides:
    """On which side the people have their left: of those who face the camera where the skeleton has a face, else of all."""
    raw, skeleton = annotations.raw, annotations.skeleton
    points, visibility = clean_keypoints(raw.keypoints, raw.visibility)

    def pair(name: str) -> tuple[Float[np.ndarray, "N 2"], Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
        left, right = skeleton.index(f"left_{name}"), skeleton.index(f"right_{name}")
        if min(left, right) < 0:
            return np.zeros((len(points), 2)), np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
        flags = visibility[:, [left, right]]
        return points[:, left] - points[:, right], np.asarray((flags > 0).all(axis=1)), np.asarray((flags > 1).all(axis=1))

    shoulders, has_shoulders, _ = pair("shoulder")
    hips, has_hips, _ = pair("hip")
    _, _, sees_eyes = pair("eye")
    joints = [skeleton.index(f"{side}_{name}") for name in ("shoulder", "hip") for side in ("left", "right")]
    if min(joints) < 0 or not len(points):
        return Sides()
    up = points[:, joints[:2]].mean(axis=1) - points[:, joints[2:]].mean(axis=1)
    height = np.linalg.norm(up, axis=1)
    across = (up[:, :1] * (shoulders + hips)[:, 1:] - up[:, 1:] * (shoulders + hips)[:, :1])[:, 0] / np.maximum(height, 1e-9)
    telling = has_shoulders & has_hips & (np.abs(across) > 0.3 * height) & ~raw.is_crowd
    facing = min(skeleton.index("left_eye"), skeleton.index("nose")) >= 0
    if facing:
        nose = visibility[:, skeleton.index("nose")] > 1
        telling &= sees_eyes & nose
    rows = np.flatnonzero(telling)
    # The frames of a track are one person seen once, not many people.
    signs = pd.Series(np.sign(across[rows])).groupby(_people(annotations)[rows]).mean()
    exchanged = rows[across[rows] < 0]
    return Sides(facing, int((signs > 0).sum()), int((signs < 0).sum()), tuple(exchanged[:MAX_SHOWN].tolist()))


def _people(annotations: Annotations) -> Int[np.ndarray, " N"]:
    """A number for each row, the same for the frames of one track of a video."""
    raw, images = annotations.raw, annotations.images.drop_duplicates("image_id").set_index("image_id")
    videos = images["video_id"].reindex(raw.image_id).fillna("").to_numpy(dtype=object)
    keys = pd.Series(list(zip(videos, raw.track_id.tolist(), strict=True)), dtype=object)
    numbers = keys.map({key: number for number, key in enumerate(dict.fromkeys(keys))}).to_numpy(dtype=np.int64)
    alone = (raw.track_id < 0) | (videos == "")
    return np.where(alone, len(raw) + np.arange(len(raw)), numbers)


def exchanged_sides(own: Sides, others: list[Sides]) -> str:
    """``as expected``, or why left and right seem exchanged in a whole split.

    Of people whose face is seen nearly all have their left on the image's right. Skeletons without a face are told by the data set's other
    splits: people face the camera as often in one as in the other, and more often than not.
    """
    count = own.usual + own.exchanged
    if own.facing and own.exchanged >= max(MIN_VOTES, MAJORITY * count):
        return f"left and right are exchanged: of {count} people who face the camera {own.exchanged} have their left on the image's left"
    for other in others:
        total = other.usual + other.exchanged
        pooled = (own.usual + other.usual) / max(count + total, 1)
        error = np.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / max(count, 1) + 1 / max(total, 1)))
        if min(count, total) >= MIN_VOTES and own.fraction < 0.5 < other.fraction and other.fraction - own.fraction > MIN_Z * error:
            shares = f"{own.fraction:.0%} of {count} people have their left on the image's right, {other.fraction:.0%} of {total} there"
            return f"left and right are exchanged against the other split: {shares}"
    return AS_EXPECTED


@dataclass(frozen=True)
class Readings:
    """What a split says of itself as a whole.

    Attributes:
        boxes: how its boxes are to be read.
        keypoints: how its keypoints are to be read.
        sides: on which side people have their left.
        first_pixel: ``as expected``, or why pixels seem to count from 1.
    """

    boxes: Votes
    keypoints: Votes
    sides: Sides
    first_pixel: str


def read_whole(annotations: Annotations) -> Readings:
    """The answers of one split to every whole-file question.

    One fault is looked for: where a reading of the boxes and one of the keypoints both fit, the one that fits more people is named, and
    nothing is said of left and right while the keypoints are misread (turning x and y mirrors).
    """
    boxes, keypoints = vote_boxes(annotations), vote_keypoints(annotations)
    if boxes.fits and keypoints.fits:
        boxes, keypoints = (boxes, Votes()) if boxes.other > keypoints.other else (Votes(), keypoints)
    sides = Sides() if keypoints.fits else count_sides(annotations)
    return Readings(boxes, keypoints, sides, count_from_one(annotations))
