"""Smoothing of keypoints along tracks: one-euro (online) and Savitzky-Golay (offline). Ids, boxes and scores stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import savgol_filter

from poseline.config.tracking import SmoothingConfig
from poseline.core.boxes import box_area
from poseline.core.types import PoseSet
from poseline.errors import DataError
from poseline.track.base import State, require_keys

FORGET_FRAMES = 60


def smooth_tracks(tracked: Sequence[PoseSet], config: SmoothingConfig) -> list[PoseSet]:
    """The frames of one video with smoothed keypoints, in the same order and with the same ids.

    Raises:
        DataError: a track id twice in one frame.
    """
    match config.kind:
        case "none":
            return list(tracked)
        case "one_euro":
            smoother = OneEuroSmoother(config)
            return [smoother.update(poses) for poses in tracked]
        case "savgol":
            return smooth_offline(tracked, window=config.savgol_window, order=config.savgol_order)


class OneEuroSmoother:
    """Low-pass filters whose cut-off rises with speed: still keypoints do not shake, quick ones do not lag.

    Speeds are in person sizes (root of the box area) per frame, so that one setting serves all distances from the camera.

    Reference:
        Casiez, Roussel, Vogel, 1€ Filter, CHI 2012.
    """

    def __init__(self, config: SmoothingConfig) -> None:
        """A smoother that has seen nothing."""
        self._config = config
        self._ids = np.zeros(0, dtype=np.int64)
        self._age = np.zeros(0, dtype=np.int64)
        self._position: Float[np.ndarray, "T K 2"] = np.zeros((0, 0, 2))
        self._speed: Float[np.ndarray, "T K 2"] = np.zeros((0, 0, 2))

    def update(self, poses: PoseSet, step: int = 1) -> PoseSet:
        """The poses with smoothed keypoints; poses without a track id pass unchanged.

        Args:
            poses: tracked poses of one frame.
            step: frames since the last call.

        Raises:
            DataError: a track id twice in the frame.
        """
        check_unique_ids(poses)
        if self._position.shape[1] != poses.num_keypoints:
            self._position, self._speed = (np.zeros((len(self._ids), poses.num_keypoints, 2)) for _ in range(2))
        rows = np.flatnonzero(poses.track_ids > 0)
        ids = poses.track_ids[rows]
        keypoints = poses.keypoints[rows].astype(np.float64)
        size = np.sqrt(np.maximum(box_area(poses.bbox_xyxy[rows]).astype(np.float64), 1.0))[:, None, None]
        position, speed = keypoints.copy(), np.zeros_like(keypoints)
        known, here = self._find(ids)
        elapsed = (self._age[known] + step).astype(np.float64)[:, None, None]
        raw_speed = (keypoints[here] - self._position[known]) / (elapsed * size[here])
        alpha_speed = _alpha(np.full_like(raw_speed, self._config.derivative_cutoff), elapsed)
        speed[here] = alpha_speed * raw_speed + (1 - alpha_speed) * self._speed[known]
        cutoff = self._config.min_cutoff + self._config.beta * np.linalg.norm(speed[here], axis=-1, keepdims=True)
        alpha = _alpha(cutoff, elapsed)
        position[here] = alpha * keypoints[here] + (1 - alpha) * self._position[known]
        self._remember(ids, position, speed, step)
        smoothed = poses.keypoints.copy()
        smoothed[rows] = position
        return replace(poses, keypoints=smoothed)

    def _find(self, ids: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Rows of the state and of the frame that hold the same track."""
        _, known, here = np.intersect1d(self._ids, ids, assume_unique=True, return_indices=True)
        return known, here

    def _remember(self, ids: np.ndarray, position: np.ndarray, speed: np.ndarray, step: int) -> None:
        kept = np.flatnonzero(~np.isin(self._ids, ids) & (self._age + step <= FORGET_FRAMES))
        self._age = np.concatenate([np.zeros(len(ids), dtype=np.int64), self._age[kept] + step])
        self._ids = np.concatenate([ids, self._ids[kept]])
        self._position = np.concatenate([position, self._position[kept]])
        self._speed = np.concatenate([speed, self._speed[kept]])

    def state(self) -> State:
        """The filters as plain arrays."""
        return {"ids": self._ids.copy(), "age": self._age.copy(), "position": self._position.copy(), "speed": self._speed.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state.

        Raises:
            ArtifactError: not the state of a smoother.
        """
        require_keys(state, {"ids", "age", "position", "speed"}, "one_euro")
        self._ids, self._age = np.array(state["ids"]), np.array(state["age"])
        self._position, self._speed = np.array(state["position"]), np.array(state["speed"])


def smooth_offline(tracked: Sequence[PoseSet], *, window: int, order: int) -> list[PoseSet]:
    """The frames with each unbroken run of a track fitted by polynomials; runs no longer than ``order`` stay.

    Runs shorter than ``window`` frames use the largest odd window that fits.

    Raises:
        DataError: a track id twice in one frame.
    """
    keypoints = [poses.keypoints.copy() for poses in tracked]
    for places in _runs(tracked):
        length = min(window, len(places) - (len(places) + 1) % 2)
        if length <= order:
            continue
        path = np.stack([tracked[frame].keypoints[row] for frame, row in places]).astype(np.float64)
        smoothed = savgol_filter(path, length, order, axis=0, mode="interp")
        for (frame, row), pose in zip(places, smoothed, strict=True):
            keypoints[frame][row] = pose
    return [replace(poses, keypoints=array) for poses, array in zip(tracked, keypoints, strict=True)]


def _runs(tracked: Sequence[PoseSet]) -> list[list[tuple[int, int]]]:
    """(frame, row) of each pose, grouped by track and unbroken run of frames."""
    runs: list[list[tuple[int, int]]] = []
    open_runs: dict[int, list[tuple[int, int]]] = {}
    for frame, poses in enumerate(tracked):
        check_unique_ids(poses)
        present = {int(track_id): row for row, track_id in enumerate(poses.track_ids) if track_id > 0}
        open_runs = {track_id: run for track_id, run in open_runs.items() if track_id in present}
        for track_id, row in present.items():
            if track_id not in open_runs:
                open_runs[track_id] = []
                runs.append(open_runs[track_id])
            open_runs[track_id].append((frame, row))
    return runs


def check_unique_ids(poses: PoseSet) -> None:
    """Refuse a frame in which a track id stands twice.

    Raises:
        DataError: names the id.
    """
    ids, count = np.unique(poses.track_ids[poses.track_ids > 0], return_counts=True)
    if (count > 1).any():
        raise DataError(f"track id {ids[count > 1][0]} stands {count.max()} times in one frame: expected once. Track the poses again.")


def _alpha(cutoff: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    """Share of the new value in a first-order low-pass; cut-off in cycles per frame, elapsed in frames."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * elapsed)))
