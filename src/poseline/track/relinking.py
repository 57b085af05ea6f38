"""How well a pose takes up a lost track that it no longer overlaps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from poseline.config.tracking import RelinkConfig
from poseline.core.poses import PoseSet
from poseline.track.kalman import MotionState
from poseline.track.person_motion import boxes_of


def relink_likeness(
    motion: MotionState,
    lost: Int[np.ndarray, " T"],
    poses: PoseSet,
    appearance: Float[np.ndarray, "T N"],
    config: RelinkConfig,
) -> Float[np.ndarray, "T N"]:
    """Mean of nearness, likeness of size and, where known, appearance: 0..1; 0 beyond the reach or against the appearance.

    Args:
        motion: the tracks, predicted into this frame.
        lost: frames since each track was seen.
        poses: the new poses.
        appearance: cosine, NaN where unknown.
        config: reach and thresholds.
    """
    track_boxes, boxes = boxes_of(motion), poses.bbox_xyxy.astype(np.float64)
    track_side = track_boxes[:, 2:] - track_boxes[:, :2]
    side = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    track_size, size = np.sqrt(track_side.prod(axis=1)), np.sqrt(side.prod(axis=1))
    distance = np.linalg.norm((track_boxes[:, :2] + track_boxes[:, 2:])[:, None] / 2 - (boxes[:, :2] + boxes[:, 2:])[None] / 2, axis=-1)
    reach = np.minimum(config.reach + config.reach_growth * np.maximum(lost - 1, 0), config.max_reach) * track_size
    nearness = np.clip(1 - distance / np.maximum(reach, 1e-6)[:, None], 0, 1)
    ratio = np.minimum(track_size[:, None], size[None]) / np.maximum(track_size[:, None], size[None])
    unknown = np.isnan(appearance)
    likeness = np.where(unknown, (nearness + ratio) / 2, (nearness + ratio + np.nan_to_num(appearance)) / 3)
    barred = (distance > reach[:, None]) | (~unknown & (appearance < config.min_appearance))
    return np.where(barred, 0.0, likeness)
