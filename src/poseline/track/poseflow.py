"""Pose Flow as published, online: flows of greatest confidence over a bounded window, then suppression and re-linking of flows.

Reference:
    Xiu et al., Pose Flow: Efficient Online Pose Tracking, BMVC 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from poseline.config.tracking import PoseflowConfig
from poseline.core.assignment import match
from poseline.core.boxes import box_iou
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.track.association import match_similar
from poseline.track.base import Space, Span, State, Tracker, require_keys
from poseline.track.camera import gray_image
from poseline.track.flow_builder import BARRED, build_flows
from poseline.track.flow_nms import cluster_flows, merge_poses
from poseline.track.keypoint_motion import keypoint_displacement
from poseline.track.orb import NO_FEATURES, OrbFeatures, detect_orb, match_orb, person_displacement
from poseline.track.pose_distance import feature_similarity, inter_frame_similarity, pose_confidence

FLOW_WIDTH = 640  # pixels; optical flow reduces wider images first
VELOCITY_MOMENTUM = 0.5
MAX_GROWTH = 0.5
MOTION_DECAY = 0.95  # of an ended flow's velocity, a frame


@dataclass(frozen=True)
class FlowFrame:
    """The poses of one frame of the window, N rows.

    Attributes:
        keypoints: float64 [N, K, 2].
        scores: float64 [N, K].
        boxes: float64 [N, 4].
        confidence: float64 [N], s(P).
        velocity: float64 [N, K, 2], pixels per frame; zeros at a flow's beginning.
        ids: int64 [N], the flow each pose was given to, -1 for none.
        flat_links: float64, the similarity to every pose of the frame before, row-major [N_before, N] flattened.
    """

    keypoints: Float[np.ndarray, "N K 2"]
    scores: Float[np.ndarray, "N K"]
    boxes: Float[np.ndarray, "N 4"]
    confidence: Float[np.ndarray, " N"]
    velocity: Float[np.ndarray, "N K 2"]
    ids: Int[np.ndarray, " N"]
    flat_links: Float[np.ndarray, " L"]


@dataclass(frozen=True)
class FlowEnds:
    """Where each flow was last seen, F rows: ids, frames since, box, velocity of its centre."""

    ids: Int[np.ndarray, " F"]
    age: Int[np.ndarray, " F"]
    boxes: Float[np.ndarray, "F 4"]
    velocity: Float[np.ndarray, "F 2"]


class PoseFlow(Tracker[PoseflowConfig]):
    """Tracks by flows. Poses merged by PF-NMS come out as one."""

    search_space: ClassVar[Space] = {
        "window": Span(3, 20, log=True, whole=True),
        "epsilon": Span(0.02, 0.4, log=True),
        "joint_box_poses": Span(0.15, 0.8, log=True),
        "link_weight": Span(0.0, 10.0),
        "min_gain": Span(0.0, 2.0),
        "flow_distance": Span(3.0, 20.0, log=True),
        "start_score": Span(0.2, 0.7),
        "relink_frames": Span(5, 60, log=True, whole=True),
        "relink_overlap": Span(0.1, 0.6),
    }

    def __init__(self, config: PoseflowConfig, skeleton: Skeleton, *, min_pose_score: float = 0.0) -> None:
        """A tracker that has seen nothing."""
        super().__init__(config, skeleton, min_pose_score=min_pose_score)
        self._window: list[FlowFrame] = []
        none = np.zeros(0, dtype=np.int64)
        self._ends = FlowEnds(none, none, np.zeros((0, 4)), np.zeros((0, 2)))
        self._gray: UInt8[np.ndarray, "h w"] = np.zeros((0, 0), dtype=np.uint8)
        self._features = NO_FEATURES

    @classmethod
    def reads_images(cls, config: PoseflowConfig) -> bool:
        """Whether correspondences are sought in the images."""
        return config.correspondence != "none"

    def link(self, poses: PoseSet, step: int, image: np.ndarray | None) -> PoseSet:
        """The poses of flows, merged where several are one person's, in input order, with track ids."""
        newest = self._enter(poses, step, image)
        self._window = [*self._window, newest][-self._config.window :]
        links = self._link_gains()
        confidence = [entry.confidence for entry in self._window]
        flows, values = build_flows(confidence, links, gain_frames=self._config.gain_frames, min_gain=self._config.min_gain)
        leader = cluster_flows(flows, values, self._window, self._config)
        ids = self._identify(poses, flows, leader, step)
        self._remember(ids, flows, step)
        return _merged_output(poses, flows[:, -1], leader, ids)

    def _enter(self, poses: PoseSet, step: int, image: np.ndarray | None) -> FlowFrame:
        """The new frame with its similarity to the last one."""
        previous = self._window[-1] if self._window else None
        keypoints = poses.keypoints.astype(np.float64)
        links = np.zeros((0, len(poses))) if previous is None else self._similarity(previous, poses, step, image)
        if previous is None:
            self._keep_image(image)
        return FlowFrame(
            keypoints=keypoints,
            scores=poses.keypoint_scores.astype(np.float64),
            boxes=poses.bbox_xyxy.astype(np.float64),
            confidence=pose_confidence(poses, self._config),
            velocity=np.zeros_like(keypoints),
            ids=np.full(len(poses), -1, dtype=np.int64),
            flat_links=links.ravel(),
        )

    def _similarity(self, previous: FlowFrame, poses: PoseSet, step: int, image: np.ndarray | None) -> Float[np.ndarray, "N M"]:
        """Inter-frame similarity by the configured correspondence; by the poses alone where there is no image."""
        config = self._config
        seen, seen_now = previous.scores >= config.min_keypoint_score, poses.keypoint_scores >= config.min_keypoint_score
        expected = previous.keypoints + (step * previous.velocity if config.velocity else 0.0)
        last_gray, last_features = self._gray, self._features
        self._keep_image(image)
        if config.correspondence == "orb" and image is not None:
            # Only correspondences that start on a person are looked at: the search for the others is left out.
            found = match_orb(last_features.within(reach_of_poses(previous, config.joint_box)), self._features, config.orb_ratio)
            moved = person_displacement(previous.boxes, found)[:, None]
            expected = np.where(np.isnan(moved), expected, previous.keypoints + moved)
            return feature_similarity(previous.keypoints, expected, seen, previous.boxes, poses, seen_now, config.joint_box, found)
        joint_box = config.joint_box_poses
        if config.correspondence in ("lk", "dis") and image is not None and last_gray.size:
            moved = keypoint_displacement(
                last_gray, self._gray, previous.keypoints, seen, kind=config.correspondence, image_width=image.shape[1]
            )
            expected = np.where(np.isnan(moved), expected, previous.keypoints + moved)
            joint_box = config.joint_box
        return inter_frame_similarity(expected, seen, previous.boxes, poses, seen_now, joint_box)

    def _keep_image(self, image: np.ndarray | None) -> None:
        """Keep of the image what the next frame's correspondences need."""
        if image is not None and self._config.correspondence in ("lk", "dis"):
            self._gray = gray_image(image, FLOW_WIDTH)
        if image is not None and self._config.correspondence == "orb":
            self._features = detect_orb(image, self._config.orb_features)

    def _link_gains(self) -> list[Float[np.ndarray, "_ _"]]:
        """What each step adds to a flow's objective; barred below epsilon."""
        gains = []
        for before, after in zip(self._window[:-1], self._window[1:], strict=True):
            similarity = after.flat_links.reshape(len(before.ids), len(after.ids))
            gains.append(np.where(similarity >= self._config.epsilon, self._config.link_weight * similarity, BARRED))
        return gains

    def _identify(self, poses: PoseSet, flows: np.ndarray, leader: np.ndarray, step: int) -> Int[np.ndarray, " C"]:
        """An id for each flow: that of its past poses, of an ended flow it goes on from, or a new one; -1 for a poor newcomer."""
        ids = np.full(len(flows), -1, dtype=np.int64)
        leaders = np.flatnonzero(leader == np.arange(len(flows)))
        names, votes = self._votes(flows, leader, leaders)
        rows, columns = match(-votes, -1e-9)
        ids[leaders[rows]] = names[columns]
        current = flows[:, -1]
        new = leaders[ids[leaders] < 0]
        self._relink(ids, new, current, step)
        new = new[ids[new] < 0]
        new = np.sort(new[poses.pose_scores[current[new]] >= self._config.start_score])
        order = new[np.argsort(current[new], kind="stable")]
        ids[order] = self.new_ids(len(order))
        return np.asarray(ids[leader])

    def _votes(self, flows: np.ndarray, leader: np.ndarray, leaders: np.ndarray) -> tuple[np.ndarray, Float[np.ndarray, "L I"]]:
        """The ids in the window, and how much confidence each cluster of flows holds of each."""
        past = self._window[:-1]
        names = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(entry.ids[entry.ids > 0] for entry in past)]))
        votes = np.zeros((len(flows), len(names)))
        for w, entry in enumerate(past):
            members = np.flatnonzero(flows[:, w] >= 0)
            held = flows[members, w]
            named = entry.ids[held] > 0
            column = np.searchsorted(names, entry.ids[held[named]])
            np.add.at(votes, (leader[members[named]], column), entry.confidence[held[named]])
        return names, votes[leaders]

    def _relink(self, ids: np.ndarray, new: np.ndarray, current: np.ndarray, step: int) -> None:
        """Give flows that begin now the ids of ended flows whose led-on boxes they meet, in place."""
        ends = self._ends
        age = ends.age + step
        open_ends = np.flatnonzero((age <= self._config.relink_frames) & ~np.isin(ends.ids, ids))
        if not len(open_ends) or not len(new):
            return
        reach = (1 - MOTION_DECAY ** age[open_ends]) / (1 - MOTION_DECAY)
        shift = ends.velocity[open_ends] * reach[:, None]
        last, now = ends.boxes[open_ends], self._window[-1].boxes[current[new]]
        growth = np.minimum(self._config.relink_growth * age[open_ends], MAX_GROWTH)
        overlap = np.zeros((len(last), len(now)))
        for row, fraction in enumerate(growth):
            # The longer unseen, the larger the place where a person may be: led on, or where it was (it may have turned back).
            places = _grow(np.stack([last[row] + np.tile(shift[row], 2), last[row]]), fraction)
            overlap[row] = box_iou(places, _grow(now, fraction)).max(axis=0)
        rows, columns = match_similar(overlap, self._config.relink_overlap)
        ids[new[columns]] = ends.ids[open_ends[rows]]

    def _remember(self, ids: np.ndarray, flows: np.ndarray, step: int) -> None:
        """Write the ids and velocities into the newest frame, and where each flow was last seen."""
        newest = self._window[-1]
        pose_ids, velocity = newest.ids.copy(), newest.velocity.copy()
        pose_ids[flows[:, -1]] = ids
        if len(self._window) > 1:
            linked = flows[:, -2] >= 0
            now, then = flows[linked, -1], flows[linked, -2]
            before = self._window[-2]
            speed = (newest.keypoints[now] - before.keypoints[then]) / step
            old = before.velocity[then]
            velocity[now] = np.where(old == 0, speed, VELOCITY_MOMENTUM * old + (1 - VELOCITY_MOMENTUM) * speed)
        self._window[-1] = replace(newest, ids=pose_ids, velocity=velocity)
        named, first = np.unique(pose_ids, return_index=True)
        first = first[named > 0]
        named = named[named > 0]
        mean_velocity = velocity[first].mean(axis=1) if velocity.shape[1] else np.zeros((len(first), 2))
        age = self._ends.age + step
        gone = (age <= self._config.relink_frames) & ~np.isin(self._ends.ids, named)
        self._ends = FlowEnds(
            np.concatenate([named, self._ends.ids[gone]]),
            np.concatenate([np.zeros(len(named), dtype=np.int64), age[gone]]),
            np.concatenate([newest.boxes[first], self._ends.boxes[gone]]),
            np.concatenate([mean_velocity, self._ends.velocity[gone]]),
        )

    def state(self) -> State:
        """The window frame by frame, the flows' ends, the counters and the last image's reduction."""
        arrays = super().state() | {"window_frames": np.array(len(self._window)), "gray": self._gray.copy()}
        arrays |= {"points": self._features.points.copy(), "descriptors": self._features.descriptors.copy()}
        arrays |= {f"ends_{f.name}": getattr(self._ends, f.name).copy() for f in fields(FlowEnds)}
        for w, entry in enumerate(self._window):
            arrays |= {f"window{w}_{f.name}": getattr(entry, f.name).copy() for f in fields(FlowFrame)}
        return arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state."""
        length = int(state["window_frames"]) if "window_frames" in state else 0
        fixed = {name for name in self.state() if not name.startswith("window")} | {"window_frames"}
        require_keys(state, fixed | {f"window{w}_{f.name}" for w in range(length) for f in fields(FlowFrame)}, "poseflow")
        self._window = [FlowFrame(**{f.name: np.array(state[f"window{w}_{f.name}"]) for f in fields(FlowFrame)}) for w in range(length)]
        self._ends = FlowEnds(**{f.name: np.array(state[f"ends_{f.name}"]) for f in fields(FlowEnds)})
        self._features = OrbFeatures(np.array(state["points"]), np.array(state["descriptors"]))
        self._gray = np.array(state["gray"])
        super().restore(state)


def _grow(boxes: Float[np.ndarray, "N 4"], fraction: float) -> Float[np.ndarray, "N 4"]:
    """Boxes with ``fraction`` of their sides added on each side."""
    margin = fraction * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def reach_of_poses(frame: FlowFrame, joint_box: float) -> Float[np.ndarray, "N 4"]:
    """A box around each person's box and all of its joint boxes."""
    side = np.maximum(frame.boxes[:, 2:] - frame.boxes[:, :2], 0).max(axis=1, initial=0.0)[:, None] * joint_box
    low = np.minimum(frame.boxes[:, :2], frame.keypoints.min(axis=1) - side)
    return np.concatenate([low, np.maximum(frame.boxes[:, 2:], frame.keypoints.max(axis=1) + side)], axis=1)


def _merged_output(poses: PoseSet, current: np.ndarray, leader: np.ndarray, ids: np.ndarray) -> PoseSet:
    """One pose for each cluster of flows that has an id, in the input order of the clusters' leaders."""
    leaders = np.flatnonzero((leader == np.arange(len(leader))) & (ids > 0))
    leaders = leaders[np.argsort(current[leaders], kind="stable")]
    merged = merge_poses(poses, [current[leader == lead] for lead in leaders], current[leaders])
    return merged.with_track_ids(ids[leaders])
