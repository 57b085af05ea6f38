"""PF-NMS: flows that run close together are one person's; they are merged.

Reference:
    Xiu et al., BMVC 2018, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from poseline.config.tracking import PoseflowConfig
from poseline.core.boxes import box_iou
from poseline.core.poses import PoseSet
from poseline.track.pose_distance import intra_frame_distance

MIN_BOX_OVERLAP = 0.3  # of the newest boxes; poses of one person overlap far more, and other pairs need no closer look


@runtime_checkable
class WindowFrame(Protocol):
    """What a frame of the window holds."""

    @property
    def keypoints(self) -> Float[np.ndarray, "N K 2"]: ...  # noqa: D102

    @property
    def scores(self) -> Float[np.ndarray, "N K"]: ...  # noqa: D102

    @property
    def boxes(self) -> Float[np.ndarray, "N 4"]: ...  # noqa: D102


def cluster_flows(
    flows: Int[np.ndarray, "C W"], values: Float[np.ndarray, " C"], window: Sequence[WindowFrame], config: PoseflowConfig
) -> Int[np.ndarray, " C"]:
    """For each flow the flow that leads its cluster (itself for a leader): the most confident flow takes all those near it.

    Args:
        flows: pose of each flow in each frame of the window, -1 where it is absent.
        values: the flows' confidence.
        window: the frames' poses.
        config: the threshold and constants of the distance.
    """
    leader = np.arange(len(flows))
    boxes = window[-1].boxes[flows[:, -1]]
    rows, columns = np.nonzero(np.triu(box_iou(boxes, boxes) >= MIN_BOX_OVERLAP, k=1))
    if not len(rows):
        return leader
    near = np.zeros((len(flows), len(flows)), dtype=bool)
    close = flow_distance(flows[rows], flows[columns], window, config) < config.flow_distance
    near[rows[close], columns[close]] = near[columns[close], rows[close]] = True
    free = np.ones(len(flows), dtype=bool)
    for flow in np.argsort(-values, kind="stable"):
        if free[flow]:
            members = np.flatnonzero(near[flow] & free)
            leader[members] = flow
            free[members] = False
            free[flow] = False
    return leader


def flow_distance(
    a: Int[np.ndarray, "P W"], b: Int[np.ndarray, "P W"], window: Sequence[WindowFrame], config: PoseflowConfig
) -> Float[np.ndarray, " P"]:
    """Median distance of the poses of each pair of flows over the frames they share; infinite where they share none."""
    distance = np.full(a.shape, np.nan)
    for w, frame in enumerate(window):
        both = np.flatnonzero((a[:, w] >= 0) & (b[:, w] >= 0))
        one, other = a[both, w], b[both, w]
        sides = frame.boxes[one, 2:] - frame.boxes[one, :2]
        distance[both, w] = intra_frame_distance(
            frame.keypoints[one], frame.keypoints[other], frame.scores[one], frame.scores[other], sides.max(axis=1, initial=0.0), config
        )
    shared = ~np.isnan(distance).all(axis=1)
    median = np.full(len(a), np.inf)
    median[shared] = np.nanmedian(distance[shared], axis=1)
    return median


def merge_poses(poses: PoseSet, members: Sequence[Int[np.ndarray, " _"]], leaders: Int[np.ndarray, " L"]) -> PoseSet:
    """One pose for each cluster: keypoints averaged by score, scores averaged; all else is the leader's.

    Args:
        poses: the frame's poses.
        members: indices of each cluster's poses.
        leaders: index of each cluster's leader.
    """
    out = poses.select(np.asarray(leaders, dtype=np.int64))
    keypoints, scores = out.keypoints.copy(), out.keypoint_scores.copy()
    for row, cluster in enumerate(members):
        if len(cluster) < 2:
            continue
        weights = np.maximum(poses.keypoint_scores[cluster].astype(np.float64), 1e-6)[..., None]
        keypoints[row] = (weights * poses.keypoints[cluster]).sum(axis=0) / weights.sum(axis=0)
        scores[row] = poses.keypoint_scores[cluster].mean(axis=0)
    return replace(out, keypoints=keypoints, keypoint_scores=scores)
