"""Person boxes to estimate poses in, one row a box.

Columns: image_id int64, image_path str, video_id str, frame_index int64, boxes (ground_truth or detections), annotation_id int64
(-1 for a detection), bbox_x1..bbox_y2 float32 pixels, bbox_score float32.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS, PoseTable

BOX_ROWS = ("image_id", "image_path", "video_id", "frame_index", "boxes", "annotation_id")
COLUMNS = (*BOX_ROWS, *BBOX_COLUMNS, "bbox_score")


def ground_truth_boxes(people: PoseTable) -> pd.DataFrame:
    """The ground-truth boxes of labelled people, with score 1."""
    kept = people.select(~people.rows["is_crowd"] & (people.rows["num_keypoints"] > 0))
    corners = dict(zip(BBOX_COLUMNS, kept.poses.bbox_xyxy.T, strict=True))
    return kept.rows.assign(boxes="ground_truth", bbox_score=np.float32(1), **corners)[list(COLUMNS)]


def detected_boxes(detections: pd.DataFrame, images: pd.DataFrame, *, min_score: float) -> pd.DataFrame:
    """Detections of at least ``min_score`` with the columns of their images."""
    kept = detections[detections["score"] >= min_score]
    joined = kept.merge(images[["image_id", "image_path", "video_id", "frame_index"]], on="image_id", how="left", validate="many_to_one")
    joined = joined.rename(columns={"score": "bbox_score"}).assign(boxes="detections", annotation_id=np.int64(-1))
    return joined[list(COLUMNS)].reset_index(drop=True)
