"""Person records: one table for every data set, one row a person, keypoints in one skeleton.

Columns (the Parquet file carries the skeleton's name in its metadata):

====================  =========  =====================================================================================
dataset               str        coco, mpii, posetrack
split                 str        train, val
image_id              int64      the official id; unique within (dataset, split)
image_path            str        path of the picture, as the parameters give its folder
image_width/height    int32      pixels
annotation_id         int64      unique within (dataset, split)
bbox_x1..bbox_y2      float32    corners in pixels, clipped to the picture
area                  float32    px²
is_crowd              bool       a group, not a person: never trained on
num_keypoints         int32      labelled keypoints
keypoints             list<f4>   K x 2 pixels, row-major; (0, 0) where unlabelled
visibility            list<u1>   K values: 0 unlabelled, 1 occluded, 2 visible
head_x1..head_y2      float32    head box; NaN-free: -1 where the data set has none
video_id              str        sequence name; empty for stills
frame_index           int32      position in the video; 0 for stills
track_id              int64      -1 for stills
====================  =========  =====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from poseline.core.skeletons import Skeleton, map_keypoints

BBOX_COLUMNS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
HEAD_COLUMNS = ("head_x1", "head_y1", "head_x2", "head_y2")
COLUMN_TYPES: dict[str, str] = {
    "dataset": "str",
    "split": "str",
    "image_id": "int64",
    "image_path": "str",
    "image_width": "int32",
    "image_height": "int32",
    "annotation_id": "int64",
    **dict.fromkeys(BBOX_COLUMNS, "float32"),
    "area": "float32",
    "is_crowd": "bool",
    "num_keypoints": "int32",
    "keypoints": "object",
    "visibility": "object",
    **dict.fromkeys(HEAD_COLUMNS, "float32"),
    "video_id": "str",
    "frame_index": "int32",
    "track_id": "int64",
}


@dataclass(frozen=True)
class PersonArrays:
    """The array columns of a record table.

    Attributes:
        bbox_xyxy: [N, 4] pixels.
        keypoints: [N, K, 2] pixels.
        visibility: [N, K] of 0, 1, 2.
        head_xyxy: [N, 4] pixels; -1 where unknown.
    """

    bbox_xyxy: Float[np.ndarray, "N 4"]
    keypoints: Float[np.ndarray, "N K 2"]
    visibility: UInt8[np.ndarray, "N K"]
    head_xyxy: Float[np.ndarray, "N 4"]


def person_arrays(records: pd.DataFrame, num_keypoints: int) -> PersonArrays:
    """The boxes, keypoints, visibilities and head boxes of a record table as arrays."""
    return PersonArrays(
        bbox_xyxy=records[list(BBOX_COLUMNS)].to_numpy(np.float32),
        keypoints=stack_column(records["keypoints"], np.float32).reshape(len(records), num_keypoints, 2),
        visibility=stack_column(records["visibility"], np.uint8).reshape(len(records), num_keypoints),
        head_xyxy=records[list(HEAD_COLUMNS)].to_numpy(np.float32),
    )


def stack_column(column: pd.Series, dtype: type[np.generic]) -> np.ndarray:
    """A column of equally long lists as a matrix [N, length]."""
    if not len(column):
        return np.zeros((0, 0), dtype=dtype)
    return np.stack([np.asarray(value, dtype=dtype) for value in column])


def make_records(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A record table from row dictionaries, typed and complete; missing head, video and track columns get defaults."""
    defaults: dict[str, object] = {
        **dict.fromkeys(HEAD_COLUMNS, -1.0), "video_id": "", "frame_index": 0, "track_id": -1, "is_crowd": False
    }
    table = pd.DataFrame([{**defaults, **row} for row in rows], columns=list(COLUMN_TYPES))
    return table.astype(COLUMN_TYPES)


def convert_keypoints(
    keypoints: Float[np.ndarray, "N K 2"], visibility: Int[np.ndarray, "N K"], source: Skeleton, target: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and visibility in another skeleton, matched by name; what the source lacks is (0, 0) with visibility 0."""
    index = map_keypoints(source, target)
    known = index >= 0
    mapped = np.where(known[None, :, None], keypoints[:, index], 0).astype(np.float32)
    flags = np.where(known[None, :], visibility[:, index], 0).astype(np.uint8)
    mapped[flags == 0] = 0
    return mapped, flags
