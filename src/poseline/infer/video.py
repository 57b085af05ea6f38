"""Tracked videos as mp4: every pose in its track's colour, its id beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from poseline.artifacts import atomic_file
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import BackendError, DataError
from poseline.infer.draw import Image, draw_label, draw_pose, track_style

CODEC = "mp4v"
MIN_SCORE = 0.2


def write_video(
    path: Path, tracked: Sequence[PoseSet], images: Iterable[Image], skeleton: Skeleton, *, frames_per_second: float = 10.0
) -> None:
    """Write one video; images are read one at a time. The same input gives the same bytes under the same OpenCV.

    Args:
        path: the mp4 file.
        tracked: poses with track ids, a set a frame.
        images: RGB, all of one size, an image a frame; an odd side loses nothing, it is drawn out by one pixel.
        skeleton: of the poses.
        frames_per_second: of the mp4; the trackers do not know the camera's.

    Raises:
        BackendError: this OpenCV cannot write the codec.
        DataError: images of several sizes, or not one a frame.
        ArtifactError: the file cannot be written.
    """
    with atomic_file(path) as temporary:
        _write_frames(temporary, tracked, images, skeleton, frames_per_second)


def _write_frames(
    path: Path, tracked: Sequence[PoseSet], images: Iterable[Image], skeleton: Skeleton, frames_per_second: float
) -> None:
    writer: cv2.VideoWriter | None = None
    size: tuple[int, ...] = ()
    try:
        for number, (poses, image) in enumerate(zip(tracked, images, strict=True)):
            if writer is None:
                size = image.shape
                writer = open_writer(path, (size[1] + size[1] % 2, size[0] + size[0] % 2), frames_per_second)
            if image.shape != size:
                raise DataError(f"frame {number}: image of {image.shape[1]}x{image.shape[0]}, the first has {size[1]}x{size[0]}. "
                                "A video needs images of one size.")  # fmt: skip
            canvas = draw_tracks(image, poses, skeleton)
            even = cv2.copyMakeBorder(canvas, 0, size[0] % 2, 0, size[1] % 2, cv2.BORDER_REPLICATE)
            writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise DataError(f"{path}: a video of no frames. Give at least one.")


def open_writer(path: Path, size_wh: tuple[int, int], frames_per_second: float, *, codec: str = CODEC) -> cv2.VideoWriter:
    """A writer ready for BGR frames.

    Raises:
        BackendError: this OpenCV was built without the codec.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), frames_per_second, size_wh)
    if not writer.isOpened():
        raise BackendError(
            f"{path}: OpenCV {cv2.__version__} cannot write {codec} video here. Install opencv-python-headless from PyPI (it has FFmpeg), "
            "or leave track.video off."
        )
    return writer


def draw_tracks(image: Image, poses: PoseSet, skeleton: Skeleton) -> Image:
    """A copy of the image with the tracked poses and their ids."""
    canvas = np.ascontiguousarray(image).copy()
    for row, track_id in enumerate(poses.track_ids.tolist()):
        style = track_style(track_id)
        shown = (poses.keypoint_scores[row] >= MIN_SCORE) & (poses.visibility[row] > 0)
        draw_pose(canvas, poses.keypoints[row], shown, skeleton, style)
        x, y = poses.bbox_xyxy[row, :2].tolist()
        draw_label(canvas, f"id {track_id}", (x, y), style.middle)
    return canvas
