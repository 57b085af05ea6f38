"""What every tracker is: ``update(poses, frame) -> poses with track ids``, and a state that can be saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import ArtifactError, DataError

LAST_ID = np.iinfo(np.int64).max - 1

State = dict[str, np.ndarray]


@runtime_checkable
class Tracker(Protocol):
    """Links poses over the frames of one video, online.

    Ids are positive int64 numbers in order of first appearance; an id belongs to one person of one tracker, never changes and is never
    used again. Ids in the input are ignored. The outcome depends on the poses, frames and configuration alone, and the state is bounded.
    """

    def update(self, poses: PoseSet, frame: Frame | None = None) -> PoseSet:
        """The poses the tracker keeps, in input order, with track ids.

        ``frame`` gives the frame's index and, where its image is not of size 0, its pixels. Without it the frame is taken to follow the
        last one. Indices may skip frames but must rise.

        Raises:
            DataError: frames out of order, a wrong number of keypoints, numbers that are not finite.
        """
        ...

    def state(self) -> State:
        """Everything needed to go on later: plain arrays, fit for ``np.savez``."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from ``state()`` of a tracker of the same kind and configuration.

        Raises:
            ArtifactError: not the state of such a tracker.
        """
        ...


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


def frame_image(frame: Frame | None) -> np.ndarray | None:
    """The frame's pixels, None where there is no frame or its image is empty (an index without a picture)."""
    return None if frame is None or frame.image.size == 0 else frame.image


def index_only(frame_index: int) -> Frame:
    """A frame without a picture: it tells a tracker the time, and nothing else.

    >>> frame_image(index_only(7)) is None
    True
    """
    return Frame(np.zeros((0, 0, 3), dtype=np.uint8), frame_index)


def take_ids(next_id: int, count: int) -> tuple[np.ndarray, int]:
    """``count`` fresh ids and the next free one.

    >>> take_ids(3, 2)[0].tolist()
    [3, 4]

    Raises:
        DataError: the ids of int64 are used up.
    """
    if next_id + count > LAST_ID:
        raise DataError(f"track id {next_id + count} does not fit into int64. Start a new tracker.")
    return np.arange(next_id, next_id + count, dtype=np.int64), next_id + count


def require_keys(state: Mapping[str, np.ndarray], keys: set[str], kind: str) -> None:
    """Refuse a state of another tracker.

    Raises:
        ArtifactError: missing or unknown arrays.
    """
    if set(state) != keys:
        odd = sorted(set(state) ^ keys)
        problem = f"tracker state: not that of a '{kind}' tracker (differs in {odd[:4]})"
        raise ArtifactError(f"{problem}. Restore it into the kind that saved it.")
