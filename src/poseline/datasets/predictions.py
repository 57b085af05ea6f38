"""Prediction tables: one row a box, with the pose found in it.

Columns: image_id int64, image_path str, video_id str, frame_index int32, boxes (ground_truth or detections),
annotation_id int64 (-1 for a detection), bbox_x1..bbox_y2 float32 px, bbox_score float32, keypoints list<f4> (K x 2 px,
row-major), keypoint_scores list<f4>, pose_score float32. The file's header names the skeleton.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from poseline.core.poses import PoseSet
from poseline.datasets.records import BBOX_COLUMNS, stack_column

BoxSource = Literal["ground_truth", "detections"]

COLUMNS = ("image_id", "image_path", "video_id", "frame_index", "boxes", "annotation_id", *BBOX_COLUMNS, "bbox_score")


def truth_boxes(people: pd.DataFrame) -> pd.DataFrame:
    """The ground-truth boxes of labelled people, with score 1."""
    kept = people[~people["is_crowd"] & (people["num_keypoints"] > 0)]
    return kept.assign(boxes="ground_truth", bbox_score=np.float32(1))[list(COLUMNS)].reset_index(drop=True)


def detected_boxes(detections: pd.DataFrame, images: pd.DataFrame, *, min_score: float) -> pd.DataFrame:
    """Detections of at least ``min_score`` with their pictures' columns."""
    kept = detections[detections["score"] >= min_score]
    joined = kept.merge(images[["image_id", "image_path", "video_id", "frame_index"]], on="image_id", how="left", validate="many_to_one")
    joined = joined.rename(columns={"score": "bbox_score"}).assign(boxes="detections", annotation_id=np.int64(-1))
    return joined[list(COLUMNS)].reset_index(drop=True)


def pose_set(rows: pd.DataFrame, num_keypoints: int) -> PoseSet:
    """The rows of one picture as poses."""
    return PoseSet(
        keypoints=stack_column(rows["keypoints"], np.float32).reshape(len(rows), num_keypoints, 2),
        keypoint_scores=stack_column(rows["keypoint_scores"], np.float32).reshape(len(rows), num_keypoints),
        bbox_xyxy=rows[list(BBOX_COLUMNS)].to_numpy(np.float32),
        bbox_scores=rows["bbox_score"].to_numpy(np.float32),
        pose_scores=rows["pose_score"].to_numpy(np.float32),
    )
