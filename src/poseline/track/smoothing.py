"""Smoothing of keypoints along tracks: one-euro (online), Savitzky-Golay and Butterworth (offline).

Ids, boxes and scores stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import scipy  # its parts load when they are used: statistics and signals take a second
from jaxtyping import Bool, Float, Int

from poseline.config.tracking import SmoothingConfig
from poseline.core.boxes import box_area
from poseline.core.poses import PoseSet
from poseline.errors import DataError
from poseline.track.base import State, require_keys

FORGET_FRAMES = 60


def smooth_tracks(tracked: Sequence[PoseSet], config: SmoothingConfig, frame_indices: Sequence[int] | None = None) -> list[PoseSet]:
    """The frames of one video with smoothed keypoints, in the same order and with the same ids.

    Args:
        tracked: poses with track ids, frame by frame.
        config: what to do.
        frame_indices: rising frame numbers; without them no frame is missing.

    Raises:
        DataError: a track id twice in one frame.
    """
    indices = list(range(len(tracked))) if frame_indices is None else list(frame_indices)
    match config.kind:
        case "none":
            return list(tracked)
        case "one_euro":
            smoother = OneEuroSmoother(config)
            steps = [1, *(after - before for before, after in pairwise(indices))]
            return [smoother.update(poses, step) for poses, step in zip(tracked, steps, strict=False)]
        case "savgol":
            return smooth_offline(tracked, window=config.savgol_window, order=config.savgol_order, frame_indices=indices)
        case "butterworth":
            sections = scipy.signal.butter(config.butterworth_order, 2 * config.butterworth_cutoff, output="sos")
            return _filter_runs(tracked, indices, partial(_butterworth, sections=sections))


def is_offline(config: SmoothingConfig) -> bool:
    """Whether smoothing needs the whole video at once."""
    return config.kind in ("savgol", "butterworth")


def _butterworth(path: Float[np.ndarray, "T K 2"], *, sections: np.ndarray) -> Float[np.ndarray, "T K 2"]:
    """The path after a low-pass without phase lag; runs too short for the filter's margins stay.

    Reference:
        Winter, Biomechanics and Motor Control of Human Movement, ch. 3.
    """
    margin = 3 * (2 * len(sections) + 1)
    if len(path) < 4:
        return path
    return np.asarray(scipy.signal.sosfiltfilt(sections, path, axis=0, padlen=min(margin, len(path) - 1)))


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
        self._known: Bool[np.ndarray, "T K"] = np.zeros((0, 0), dtype=bool)

    def update(self, poses: PoseSet, step: int = 1) -> PoseSet:
        """The poses with smoothed keypoints; poses without a track id and keypoints that are not annotated pass unchanged.

        Args:
            poses: tracked poses of one frame.
            step: frames since the last call.

        Raises:
            DataError: a track id twice in the frame.
        """
        check_unique_ids(poses)
        if self._position.shape[1] != poses.num_keypoints:
            self._position, self._speed = (np.zeros((len(self._ids), poses.num_keypoints, 2)) for _ in range(2))
            self._known = np.zeros((len(self._ids), poses.num_keypoints), dtype=bool)
        rows = np.flatnonzero(poses.track_ids > 0)
        ids = poses.track_ids[rows]
        keypoints = poses.keypoints[rows].astype(np.float64)
        size = np.sqrt(np.maximum(box_area(poses.bbox_xyxy[rows]).astype(np.float64), 1.0))[:, None, None]
        position, speed = keypoints.copy(), np.zeros_like(keypoints)
        known, here = self._find(ids)
        elapsed = (self._age[known] + step).astype(np.float64)[:, None, None]
        raw_speed = (keypoints[here] - self._position[known]) / (elapsed * size[here])
        alpha_speed = _alpha(np.full_like(raw_speed, self._config.derivative_cutoff), elapsed)
        new_speed = alpha_speed * raw_speed + (1 - alpha_speed) * self._speed[known]
        cutoff = self._config.min_cutoff + self._config.beta * np.linalg.norm(new_speed, axis=-1, keepdims=True)
        alpha = _alpha(cutoff, elapsed)
        new_position = alpha * keypoints[here] + (1 - alpha) * self._position[known]
        # A keypoint that is not annotated says nothing of where it is: its filter stands still.
        shown = poses.visibility[rows] > 0
        before, both = self._known[known][..., None], (shown[here] & self._known[known])[..., None]
        speed[here] = np.where(both, new_speed, np.where(before, self._speed[known], 0.0))
        position[here] = np.where(both, new_position, np.where(before & ~shown[here][..., None], self._position[known], keypoints[here]))
        ever = shown.copy()
        ever[here] |= self._known[known]
        self._remember(ids, position, speed, ever, step)
        smoothed = poses.keypoints.copy()
        smoothed[rows] = np.where(shown[..., None], position, keypoints)
        return replace(poses, keypoints=smoothed)

    def _find(self, ids: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Rows of the state and of the frame that hold the same track."""
        _, known, here = np.intersect1d(self._ids, ids, assume_unique=True, return_indices=True)
        return known, here

    def _remember(self, ids: np.ndarray, position: np.ndarray, speed: np.ndarray, known: np.ndarray, step: int) -> None:
        kept = np.flatnonzero(~np.isin(self._ids, ids) & (self._age + step <= FORGET_FRAMES))
        self._age = np.concatenate([np.zeros(len(ids), dtype=np.int64), self._age[kept] + step])
        self._ids = np.concatenate([ids, self._ids[kept]])
        self._position = np.concatenate([position, self._position[kept]])
        self._speed = np.concatenate([speed, self._speed[kept]])
        self._known = np.concatenate([known, self._known[kept]])

    def state(self) -> State:
        """The filters as plain arrays."""
        arrays = {"ids": self._ids, "age": self._age, "position": self._position, "speed": self._speed, "known": self._known}
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state.

        Raises:
            ArtifactError: not the state of a smoother.
        """
        require_keys(state, {"ids", "age", "position", "speed", "known"}, "one_euro")
        self._ids, self._age = np.array(state["ids"]), np.array(state["age"])
        self._position, self._speed, self._known = (np.array(state[name]) for name in ("position", "speed", "known"))


def smooth_offline(
    tracked: Sequence[PoseSet], *, window: int, order: int, frame_indices: Sequence[int] | None = None
) -> list[PoseSet]:
    """The frames with each unbroken run of a track fitted by polynomials; runs no longer than ``order`` stay.

    Runs shorter than ``window`` frames use the largest odd window that fits.

    Raises:
        DataError: a track id twice in one frame.
    """

    def smooth(path: np.ndarray) -> np.ndarray:
        length = min(window, len(path) - (len(path) + 1) % 2)
        return path if length <= order else np.asarray(scipy.signal.savgol_filter(path, length, order, axis=0, mode="interp"))

    return _filter_runs(tracked, list(range(len(tracked))) if frame_indices is None else frame_indices, smooth)


def _filter_runs(
    tracked: Sequence[PoseSet], frame_indices: Sequence[int], smooth: Callable[[Float[np.ndarray, "T K 2"]], Float[np.ndarray, "T K 2"]]
) -> list[PoseSet]:
    """The frames with ``smooth`` applied to each unbroken run of a track; keypoints that are not annotated stay."""
    keypoints = [poses.keypoints.copy() for poses in tracked]
    for places in _runs(tracked, frame_indices):
        path = np.stack([tracked[frame].keypoints[row] for frame, row in places]).astype(np.float64)
        shown = np.stack([tracked[frame].visibility[row] > 0 for frame, row in places])
        smoothed = smooth(_bridge(path, shown))
        for (frame, row), pose, annotated in zip(places, smoothed, shown, strict=True):
            keypoints[frame][row, annotated] = pose[annotated]
    return [replace(poses, keypoints=array) for poses, array in zip(tracked, keypoints, strict=True)]


def _bridge(path: Float[np.ndarray, "T K 2"], shown: Bool[np.ndarray, "T K"]) -> Float[np.ndarray, "T K 2"]:
    """The path with keypoints that are not annotated put on the line between the frames around."""
    times = np.arange(len(path))
    for k in np.flatnonzero(shown.any(axis=0) & ~shown.all(axis=0)):
        for axis in range(2):
            path[:, k, axis] = np.interp(times, times[shown[:, k]], path[shown[:, k], k, axis])
    return path


def _runs(tracked: Sequence[PoseSet], frame_indices: Sequence[int]) -> list[list[tuple[int, int]]]:
    """(frame, row) of each pose, grouped by track and unbroken run of frames."""
    runs: list[list[tuple[int, int]]] = []
    open_runs: dict[int, list[tuple[int, int]]] = {}
    for frame, poses in enumerate(tracked):
        check_unique_ids(poses)
        if frame and frame_indices[frame] != frame_indices[frame - 1] + 1:
            open_runs = {}
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
