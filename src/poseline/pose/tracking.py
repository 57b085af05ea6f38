"""The tracker of one source, with online smoothing, as one thing that can be saved and restored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from poseline.config.tracking import TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import DataError
from poseline.infer.detectors.base import Detections
from poseline.pose.carry import BoxCarrier
from poseline.pose.inputs.base import Image
from poseline.track.base import State, index_only
from poseline.track.build import build_tracker, reads_images
from poseline.track.smoothing import OneEuroSmoother

_SAME = ("bbox_xyxy", "pose_scores", "keypoints", "keypoint_scores")
_TRACKER, _CARRIER, _SMOOTHER = "tracker.", "carrier.", "smoother."


class SourceTracker:
    """Gives ids to the people of one source, and smooths them where that works frame by frame.

    Attributes:
        tracks: ids given so far.
    """

    def __init__(
        self, config: TrackConfig, skeleton: Skeleton, *, frames_per_second: float | None = None, carries: bool = False
    ) -> None:  # fmt: skip
        """A tracker that has seen nothing; the source's frame rate, where it has one, goes before the configured one.

        Args:
            config: kind and options.
            skeleton: of the poses.
            frames_per_second: of the source.
            carries: :meth:`predict` will be asked.

        Raises:
            ConfigError: options that do not fit the skeleton.
        """
        if frames_per_second is not None:
            config = config.model_copy(update={"frames_per_second": frames_per_second})
        self._tracker = build_tracker(config, skeleton)
        self._reads_images = reads_images(config)
        self._smoother = OneEuroSmoother(config.smoothing) if config.smoothing.kind == "one_euro" else None
        self._carries, self._carrier = carries, BoxCarrier(skeleton.num_keypoints)
        self._last_index = -1
        self._highest = 0

    @property
    def tracks(self) -> int:
        """Ids given so far."""
        return self._highest

    def update(self, poses: PoseSet, frame_index: int, image: Image | None) -> PoseSet:
        """Every pose of the frame, in order, with the id of its track; -1 where the tracker gives none (yet)."""
        frame = Frame(image, frame_index) if self._reads_images and image is not None else index_only(frame_index)
        tracked = with_ids_of(poses, self._tracker.update(poses, frame))
        step = frame_index - self._last_index if self._last_index >= 0 else 1
        self._last_index = frame_index
        self._highest = max(self._highest, int(tracked.track_ids.max(initial=0)))
        if self._carries:
            self._carrier.update(tracked, frame_index)
        return tracked if self._smoother is None else self._smoother.update(tracked, step)

    def predict(self, frame_index: int) -> Detections:
        """Where the people of the last frame are expected in a later one; only where it ``carries``."""
        return self._carrier.predict(frame_index)

    def state(self) -> State:
        """Everything needed to go on later."""
        own = {"last_index": np.array(self._last_index), "highest": np.array(self._highest)}
        parts = {_TRACKER: self._tracker.state(), _CARRIER: self._carrier.state()}
        if self._smoother is not None:
            parts[_SMOOTHER] = self._smoother.state()
        return own | {f"{prefix}{name}": array for prefix, part in parts.items() for name, array in part.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state."""
        self._last_index, self._highest = int(state["last_index"]), int(state["highest"])
        self._tracker.restore(_part(state, _TRACKER))
        self._carrier.restore(_part(state, _CARRIER))
        if self._smoother is not None:
            self._smoother.restore(_part(state, _SMOOTHER))


def with_ids_of(poses: PoseSet, tracked: PoseSet) -> PoseSet:
    """The poses with the ids that ``tracked``, some of them in the same order, gives them; -1 for the others.

    Raises:
        DataError: ``tracked`` holds a pose that is none of these.
    """
    ids, row = np.full(len(poses), -1, dtype=np.int64), 0
    for place in range(len(poses)):
        if row < len(tracked) and all(np.array_equal(getattr(poses, name)[place], getattr(tracked, name)[row]) for name in _SAME):
            ids[place] = tracked.track_ids[row]
            row += 1
    if row < len(tracked):
        raise DataError("the tracker changed the poses of a frame or their order: it may only leave some out. Fix the tracker.")
    return poses.with_track_ids(ids)


def _part(state: Mapping[str, np.ndarray], prefix: str) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
