"""What the readers of annotation files return: people, images, and the values as the file gave them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from poseline.artifacts import PoseTable
from poseline.core.boxes import AREA_OF_BOX, box_area
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton

HEAD_COLUMNS = ("head_x1", "head_y1", "head_x2", "head_y2")
PERSON_TYPES = {
    "dataset": "str",
    "split": "str",
    "image_id": "int64",
    "image_path": "str",
    "image_width": "int32",
    "image_height": "int32",
    "annotation_id": "int64",
    "is_crowd": "bool",
    "num_keypoints": "int32",
    **dict.fromkeys(HEAD_COLUMNS, "float32"),
    "video_id": "str",
    "frame_index": "int64",
}
"""The rows of a table of people: image_id and annotation_id are unique within (dataset, split); num_keypoints counts the labelled
ones; head boxes are pixels, -1 where the data set has none; video_id is empty and frame_index 0 for stills."""

IMAGE_TYPES = {
    "dataset": "str",
    "split": "str",
    "image_id": "int64",
    "image_path": "str",
    "width": "int32",
    "height": "int32",
    "video_id": "str",
    "frame_index": "int64",
}


@dataclass(frozen=True)
class RawPeople:
    """Every person of a file, errors included: in pixels from 0, neither clipped nor cleaned. N people, K keypoints.

    Attributes:
        annotation_id: [N].
        image_id: [N]; may name an image that the file does not list.
        bbox_xyxy: [N, 4]; NaN where the file has no number.
        area: [N] px²; NaN where the file has none.
        is_crowd: [N].
        given_num_keypoints: [N] as the file says; -1 where it does not say.
        keypoints: [N, K, 2] in the file's own skeleton; may hold NaN.
        visibility: [N, K]; as given, may lie outside 0..2.
        head_xyxy: [N, 4]; NaN where there is none.
        track_id: [N]; -1 for stills.
    """

    annotation_id: Int[np.ndarray, " N"]
    image_id: Int[np.ndarray, " N"]
    bbox_xyxy: Float[np.ndarray, "N 4"]
    area: Float[np.ndarray, " N"]
    is_crowd: Bool[np.ndarray, " N"]
    given_num_keypoints: Int[np.ndarray, " N"]
    keypoints: Float[np.ndarray, "N K 2"]
    visibility: Float[np.ndarray, "N K"]
    head_xyxy: Float[np.ndarray, "N 4"]
    track_id: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.annotation_id)


@dataclass(frozen=True)
class Annotations:
    """One split of one data set.

    Attributes:
        dataset: the data set's name in the parameters.
        split: train or val.
        source: the annotation file or folder.
        skeleton: the file's own keypoints (those of ``raw``).
        people: poses in the target skeleton, rows as :data:`PERSON_TYPES`; people of images that the file does not list are
            only in ``raw``, where the checks report them.
        images: one row an image: dataset, split, image_id, image_path, width, height, video_id, frame_index.
        raw: every person as the file gave it.
        has_head_boxes: whether the data set brings head boxes at all.
        loose_boxes: whether person boxes may by the format's nature reach outside the image (MPII's squares).
        ignore_regions: image_id -> polygons [P, 2] in pixels where detections do not count.
    """

    dataset: str
    split: str
    source: Path
    skeleton: Skeleton
    people: PoseTable
    images: pd.DataFrame
    raw: RawPeople
    has_head_boxes: bool = False
    loose_boxes: bool = False
    ignore_regions: dict[int, list[Float[np.ndarray, "_ 2"]]] = field(default_factory=dict)


def image_table(dataset: str, split: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    """The images of a split as a typed table; ``rows`` hold image_id, image_path, width, height and, for videos, the frame."""
    defaults: dict[str, object] = {"dataset": dataset, "split": split, "video_id": "", "frame_index": 0}
    return pd.DataFrame([{**defaults, **row} for row in rows], columns=list(IMAGE_TYPES)).astype(IMAGE_TYPES)


def tabulate_people(raw: RawPeople, images: pd.DataFrame, *, source: Skeleton, target: Skeleton) -> PoseTable:
    """The people whose image is listed: keypoints by name in the target skeleton, boxes clipped to the image, no NaN.

    A keypoint that is not finite counts as unlabelled; a box that is not finite becomes empty; a missing area is 0.53 of the box.
    The checks report all three.
    """
    by_id = images.drop_duplicates("image_id").set_index("image_id")
    listed = np.isin(raw.image_id, by_id.index.to_numpy())
    rows = by_id.loc[raw.image_id[listed]]
    keypoints, visibility = clean_keypoints(raw.keypoints[listed], raw.visibility[listed])
    bbox = clip_to_images(np.nan_to_num(raw.bbox_xyxy[listed], nan=0.0, posinf=0.0, neginf=0.0), rows)
    area = raw.area[listed]
    poses = PoseSet(
        keypoints=keypoints,
        keypoint_scores=visibility > 0,
        bbox_xyxy=bbox,
        pose_scores=np.ones(len(bbox)),
        visibility=visibility,
        area=np.where(np.isfinite(area), area, AREA_OF_BOX * box_area(bbox)),
        track_ids=raw.track_id[listed],
    ).convert(source, target)
    head = np.where(np.isfinite(raw.head_xyxy[listed]).all(axis=1, keepdims=True), raw.head_xyxy[listed], -1.0)
    columns: dict[str, object] = {
        "dataset": rows["dataset"].to_numpy(),
        "split": rows["split"].to_numpy(),
        "image_id": raw.image_id[listed],
        "image_path": rows["image_path"].to_numpy(),
        "image_width": rows["width"].to_numpy(),
        "image_height": rows["height"].to_numpy(),
        "annotation_id": raw.annotation_id[listed],
        "is_crowd": raw.is_crowd[listed],
        "num_keypoints": (poses.visibility > 0).sum(axis=1),
        **{name: head[:, i] for i, name in enumerate(HEAD_COLUMNS)},
        "video_id": rows["video_id"].to_numpy(),
        "frame_index": rows["frame_index"].to_numpy(),
    }
    return PoseTable(pd.DataFrame(columns, columns=list(PERSON_TYPES)).astype(PERSON_TYPES), poses)


def clean_keypoints(keypoints: Float[np.ndarray, "N K 2"], visibility: Float[np.ndarray, "N K"]) -> tuple[np.ndarray, np.ndarray]:
    """Finite keypoints and visibilities 0, 1, 2: what is not finite or has an unknown flag counts as unlabelled."""
    known = np.isfinite(keypoints).all(axis=2) & np.isin(visibility, (1, 2))
    return np.where(known[..., None], keypoints, 0), np.where(known, visibility, 0).astype(np.int64)


def clip_to_images(bbox_xyxy: Float[np.ndarray, "N 4"], rows: pd.DataFrame) -> Float[np.ndarray, "N 4"]:
    """Boxes clipped to their images; unchanged where the image's size is not known (0)."""
    size = rows[["width", "height"]].to_numpy(np.float64)
    clipped = np.clip(bbox_xyxy, 0, np.tile(size, 2)) if len(bbox_xyxy) else bbox_xyxy
    return np.where((size > 0).all(axis=1, keepdims=True), clipped, bbox_xyxy)
