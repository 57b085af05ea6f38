"""The configured tracker."""

from __future__ import annotations

from poseline.config.tracking import TrackConfig
from poseline.core.skeletons import Skeleton
from poseline.track.base import Tracker
from poseline.track.bytepose import BytePoseTracker
from poseline.track.poseflow import PoseFlow
from poseline.track.poseflow_released import ReleasedPoseFlow


def build_tracker(config: TrackConfig, skeleton: Skeleton) -> Tracker:
    """A new tracker for one video. Trackers share nothing.

    Raises:
        ConfigError: parameters that do not fit the skeleton.
        BackendError: a network that was asked for cannot be loaded.
    """
    match config.kind:
        case "bytepose":
            return BytePoseTracker(config.bytepose, skeleton, min_pose_score=config.min_pose_score)
        case "poseflow_released":
            return ReleasedPoseFlow(config.poseflow_released, skeleton, min_pose_score=config.min_pose_score)
        case "poseflow":
            return PoseFlow(config.poseflow, skeleton, min_pose_score=config.min_pose_score)
