"""What every tracker is: ``update(poses, frame) -> poses with track ids``, a state that can be saved, and what can be tuned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np

from poseline.config.base import Section
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import ArtifactError, DataError

LAST_ID = np.iinfo(np.int64).max - 1

State = dict[str, np.ndarray]
Value = bool | int | float | str
Options = TypeVar("Options", bound=Section)


@dataclass(frozen=True)
class Span:
    """Numbers between ``low`` and ``high``, drawn uniformly, or uniformly in their logarithm; whole where ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> Value:
        """One number."""
        value = np.exp(rng.uniform(np.log(self.low), np.log(self.high))) if self.log else rng.uniform(self.low, self.high)
        return round(value) if self.whole else float(value)


@dataclass(frozen=True)
class OneOf:
    """One of some values, each with the same probability."""

    values: tuple[Value, ...]

    def draw(self, rng: np.random.Generator) -> Value:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]


Space = Mapping[str, Span | OneOf]
"""Dotted option of a kind -> what is drawn for it."""


class Tracker(ABC, Generic[Options]):
    """Links poses over the frames of one video, online.

    Ids are positive int64 numbers in order of first appearance; an id belongs to one person of one tracker, never changes and is never
    used again. Ids in the input are ignored. The result depends on the poses, frames and configuration alone, and the state is bounded.

    A kind implements :meth:`link`, :meth:`state` and :meth:`restore`. A tracker of another package also names its options in ``Config``.

    Attributes:
        frames_per_second: of the video; set before the first frame.
        search_space: what `poseline track tune` draws for each option of the kind; empty where there is nothing to tune.
    """

    Config: ClassVar[type[Section]]
    search_space: ClassVar[Space] = {}
    frames_per_second: float = 25.0

    def __init__(self, config: Options, skeleton: Skeleton, *, min_pose_score: float = 0.0) -> None:
        """A tracker that has seen nothing; poses that score below ``min_pose_score`` are left out."""
        self._config = config
        self._skeleton = skeleton
        self._min_pose_score = min_pose_score
        self._frame_index = -1
        self._next_id = 1

    @classmethod
    def reads_images(cls, config: Options) -> bool:
        """Whether a tracker with these options uses the frames' pixels."""
        return False

    def update(self, poses: PoseSet, frame: Frame | None = None) -> PoseSet:
        """The poses the tracker keeps, in input order, with track ids.

        ``frame`` gives the frame's index and, where its image is not of size 0, its pixels. Without it the frame is taken to follow the
        last one. Indices may skip frames but must rise.

        Raises:
            DataError: frames out of order, a wrong number of keypoints, numbers that are not finite.
        """
        step, frame_index = next_step(self._frame_index, frame)
        check_poses(poses, self._skeleton, frame_index)
        self._frame_index = frame_index
        poses = poses.select(np.flatnonzero(poses.pose_scores >= self._min_pose_score))
        return self.link(poses, step, None if frame is None or frame.image.size == 0 else frame.image)

    @abstractmethod
    def link(self, poses: PoseSet, step: int, image: np.ndarray | None) -> PoseSet:
        """The poses kept, in input order, with track ids.

        Args:
            poses: checked poses of one frame.
            step: frames since the last call, at least 1.
            image: the frame's pixels; None where there are none.
        """

    def late(self) -> list[tuple[int, PoseSet]]:
        """Poses of earlier frames whose tracks were recognised in the last update: frame index and poses with ids. By default none.

        A live stream cannot show them any more; :func:`poseline.track.build.track_video` puts them into their frames.
        """
        return []

    def new_ids(self, count: int) -> np.ndarray:
        """Ids that were never used before.

        Raises:
            DataError: the ids of int64 are used up.
        """
        if self._next_id + count > LAST_ID:
            raise DataError(f"track id {self._next_id + count} does not fit into int64. Start a new tracker.")
        self._next_id += count
        return np.arange(self._next_id - count, self._next_id, dtype=np.int64)

    def state(self) -> State:
        """Everything needed to go on later: plain arrays, fit for ``np.savez``. A kind adds its own arrays."""
        return {"frame_index": np.array(self._frame_index), "next_id": np.array(self._next_id)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from ``state()`` of a tracker of the same kind and configuration. A kind restores its own arrays.

        Raises:
            ArtifactError: not the state of such a tracker.
        """
        self._frame_index, self._next_id = int(state["frame_index"]), int(state["next_id"])


def next_step(last_index: int, frame: Frame | None) -> tuple[int, int]:
    """Frames gone by since the last update (at least 1) and the new frame's index.

    >>> next_step(4, None)
    (1, 5)

    Raises:
        DataError: the frame's index does not rise.
    """
    if frame is None:
        return 1, last_index + 1
    if frame.frame_index <= last_index:
        raise DataError(
            f"frame {frame.frame_index} came after frame {last_index}: frames must rise. Sort them, and use a new tracker for each video."
        )
    return (frame.frame_index - last_index if last_index >= 0 else 1), frame.frame_index


def check_poses(poses: PoseSet, skeleton: Skeleton, frame_index: int) -> None:
    """Refuse poses that no tracker can use.

    Raises:
        DataError: a wrong number of keypoints, or numbers that are not finite.
    """
    if poses.num_keypoints != skeleton.num_keypoints:
        raise DataError(
            f"frame {frame_index}: poses have {poses.num_keypoints} keypoints, skeleton '{skeleton.name}' has {skeleton.num_keypoints}. "
            "Set data.skeleton or fix the file."
        )
    arrays = {"keypoints": poses.keypoints, "keypoint_scores": poses.keypoint_scores, "bbox_xyxy": poses.bbox_xyxy}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            person = int(np.argwhere(~np.isfinite(array))[0][0])
            raise DataError(f"frame {frame_index}: person {person}: {name} must be finite numbers. Drop the person or fix the file.")


def index_only(frame_index: int) -> Frame:
    """A frame without an image: it tells a tracker the frame's number, and nothing else.

    >>> index_only(7).image.size
    0
    """
    return Frame(np.zeros((0, 0, 3), dtype=np.uint8), frame_index)


def require_keys(state: Mapping[str, np.ndarray], keys: set[str], kind: str) -> None:
    """Refuse a state of another tracker.

    Raises:
        ArtifactError: missing or unknown arrays.
    """
    if set(state) != keys:
        odd = sorted(set(state) ^ keys)
        problem = f"tracker state: not that of a '{kind}' tracker (differs in {odd[:4]})"
        raise ArtifactError(f"{problem}. Restore it into the kind that saved it.")
