"""The configured tracker."""

from __future__ import annotations

from poseline.config.tracking import TrackConfig
from poseline.core.skeletons import Skeleton
from poseline.track.base import Tracker
from poseline.track.bytepose import BytePoseTracker
from poseline.track.poseflow import PoseFlow
from poseline.track.poseflow_released import ReleasedPoseFlow


def needs_pictures(config: TrackConfig) -> bool:
    """Whether the configured tracker looks at the frames' pixels."""
    match config.kind:
        case "bytepose":
            return config.bytepose.camera_motion != "none" or config.bytepose.appearance.kind != "none"
        case "poseflow_released":
            return config.poseflow_released.correspondence != "none"
        case "poseflow":
            return config.poseflow.correspondence != "none"


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
