"""Boxes between two detections: each tracked person's box goes on as the person moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from poseline.core.poses import PoseSet
from poseline.infer.detectors.base import Detections
from poseline.pose.inputs.base import InputFrame
from poseline.pose.pipeline import PosedFrame, PosePipeline
from poseline.track.base import State

if TYPE_CHECKING:
    from poseline.pose.tracking import SourceTracker

_MIN_KEYPOINTS = 4
_MIN_SCORE = 0.3
_MOMENTUM = 0.5


class BoxCarrier:
    """Predicts where the boxes of the people of the last frame are in the next one.

    A box moves and grows as the keypoints in it did since the frame before, so it follows the person although nobody detects; then it
    goes on at the running mean of its velocity.
    """

    def __init__(self, num_keypoints: int) -> None:
        self._last = PoseSet.empty(num_keypoints)
        self._velocity: Float[np.ndarray, "N 2"] = np.zeros((0, 2))
        self._frame_index = -1

    def update(self, poses: PoseSet, frame_index: int) -> None:
        """Take in the tracked poses of a frame."""
        step = max(1, frame_index - self._frame_index)
        velocity = np.zeros((len(poses), 2))
        rows = {track_id: row for row, track_id in enumerate(self._last.track_ids.tolist()) if track_id > 0}
        for row, track_id in enumerate(poses.track_ids.tolist()):
            before = rows.get(track_id)
            if before is not None:
                centres = [box.reshape(2, 2).mean(axis=0) for box in (self._last.bbox_xyxy[before], poses.bbox_xyxy[row])]
                moved = keypoint_shift(self._last, before, poses, row)
                now = ((centres[1] - centres[0]) if moved is None else moved) / step
                velocity[row] = _MOMENTUM * self._velocity[before] + (1 - _MOMENTUM) * now if self._velocity[before].any() else now
        self._last, self._velocity, self._frame_index = poses, velocity, frame_index

    def predict(self, frame_index: int) -> Detections:
        """The boxes at a later frame, with the scores of the last detection."""
        step = frame_index - self._frame_index
        poses = self._last
        boxes = np.stack([refit_box(poses, row) for row in range(len(poses))]) if len(poses) else np.zeros((0, 4))
        return Detections(boxes + np.tile(step * self._velocity, (1, 2)), poses.bbox_scores.astype(np.float64))

    def state(self) -> State:
        """Everything needed to go on later."""
        poses = self._last
        arrays = {name: getattr(poses, name) for name in ("keypoints", "keypoint_scores", "bbox_xyxy", "bbox_scores", "track_ids")}
        return {**arrays, "velocity": self._velocity, "frame_index": np.array(self._frame_index)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state."""
        arrays = {name: np.array(array) for name, array in state.items() if name not in ("velocity", "frame_index")}
        self._last, self._velocity, self._frame_index = PoseSet(**arrays), np.array(state["velocity"]), int(state["frame_index"])


def keypoint_shift(before: PoseSet, row_before: int, after: PoseSet, row_after: int) -> Float[np.ndarray, " 2"] | None:
    """The median move of the keypoints that are sure in both poses; None where there are too few."""
    sure = (before.keypoint_scores[row_before] >= _MIN_SCORE) & (after.keypoint_scores[row_after] >= _MIN_SCORE)
    if sure.sum() < _MIN_KEYPOINTS:
        return None
    return np.asarray(np.median(after.keypoints[row_after, sure] - before.keypoints[row_before, sure], axis=0), dtype=np.float64)


def refit_box(poses: PoseSet, row: int) -> Float[np.ndarray, " 4"]:
    """The box of a pose, grown where sure keypoints lie outside it and shrunk where they stay well inside."""
    box = poses.bbox_xyxy[row].astype(np.float64)
    sure = poses.keypoint_scores[row] >= _MIN_SCORE
    if sure.sum() < _MIN_KEYPOINTS:
        return box
    points = poses.keypoints[row, sure].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * np.maximum(high - low, 1.0)
    tight = np.concatenate([low - margin, high + margin])
    # Half way to the keypoints' extent each frame: follows, and does not collapse where a limb is unsure for a moment.
    return 0.5 * box + 0.5 * tight


def carry_frames(
    pipeline: PosePipeline, frames: Iterator[InputFrame], tracker: SourceTracker, *, every: int, taken: int
) -> Iterator[PosedFrame]:
    """Every frame, in order, with its poses; the consumer updates the tracker before it asks for the next one.

    Args:
        pipeline: detector and network.
        frames: read one ahead, on a thread.
        tracker: says where its people go.
        every: frames from one detection to the next.
        taken: frames of the source that were taken before these.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        ahead = pool.submit(next, frames, None)
        while (frame := ahead.result()) is not None:
            ahead = pool.submit(next, frames, None)
            boxes = None if taken % every == 0 else tracker.predict(frame.frame_index)
            yield pipeline.process_one(frame, boxes)
            taken += 1
