"""Prediction files of any format as videos to track, with their images where given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.images import list_images, read_image
from poseline.datasets.json_files import is_result_list, read_json
from poseline.datasets.pose_lists import Frames, read_pose_results
from poseline.datasets.posetrack.annotations import frame_rows
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.video import PoseTrackFrame, PoseTrackSequence
from poseline.errors import DataError
from poseline.infer.draw import Image

OpenImages = Callable[[], Iterator[Image]]
_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, eq=False)
class PoseVideo:
    """One video of a prediction file.

    Attributes:
        sequence: its frames in the result format, without poses where ``poses`` are of another skeleton.
        poses: what is tracked, a set a frame.
        skeleton: of ``poses``.
        open_images: gives the frames' images from the first on, each time it is called; None without images.
    """

    sequence: PoseTrackSequence
    poses: list[PoseSet]
    skeleton: Skeleton
    open_images: OpenImages | None


def open_videos(predictions: Path, frames: Path | None, skeleton: Skeleton) -> list[PoseVideo]:
    """The videos of a prediction file or folder with their images.

    Raises:
        DataError: a file is missing or not in its format, frames are out of order, or a frame has no image.
    """
    if predictions.is_file() and is_result_list(read_json(predictions)):
        found = read_pose_results(predictions, skeleton)
        return [_listed_video(name, poses, frames, skeleton, single=len(found) == 1) for name, poses in found.items()]
    sequences = read_folder(predictions, with_ids=False)
    images = _sequence_images(sequences, frames)
    posetrack = load_skeleton("posetrack17")
    return [
        PoseVideo(sequence, [frame.people for frame in sequence.frames], posetrack, images[name]) for name, sequence in sequences.items()
    ]


def _listed_video(name: str, found: Frames, frames: Path | None, skeleton: Skeleton, *, single: bool) -> PoseVideo:
    """A video of a list of poses: with images, every image is a frame; without, every frame named is one."""
    files: dict[int, Path] = {}
    if frames is not None and frames.is_dir():
        folder = frames / name if (frames / name).is_dir() or not single else frames
        for path in list_images(folder):
            number = _NUMBER.search(path.stem)
            if number is None or int(number.group(1)) in files:
                raise DataError(f"{path}: expected images numbered by frame, each number once. Rename them 000000.jpg, 000001.jpg, ...")
            files[int(number.group(1))] = path
        _check_images(sorted(set(found) - set(files)), folder, len(files))
    elif frames is not None and not single:
        raise DataError(f"{frames}: one video file for several videos. Give a folder that holds a folder of images for each.")
    indices = sorted(files) or sorted(found)
    empty = PoseSet.empty(skeleton.num_keypoints)
    nobody = PoseSet.empty(load_skeleton("posetrack17").num_keypoints)
    sequence = PoseTrackSequence(name, tuple(
        PoseTrackFrame(index, f"{name}/{files[index].name if files else f'{index:06d}.jpg'}", index, True, (), nobody, np.zeros((0, 4)))
        for index in indices
    ))  # fmt: skip
    images = _video_images(frames, indices) if frames is not None and not files else _file_images([files[i] for i in sorted(files)])
    return PoseVideo(sequence, [found.get(index, empty) for index in indices], skeleton, images if frames is not None else None)


def _sequence_images(sequences: dict[str, PoseTrackSequence], frames: Path | None) -> dict[str, OpenImages | None]:
    """The images of each PoseTrack video."""
    if frames is None:
        return dict.fromkeys(sequences)
    if not frames.is_dir():
        if len(sequences) > 1:
            raise DataError(f"{frames}: one video file for {len(sequences)} videos. Give a folder that holds the videos' folders.")
        ((name, only),) = sequences.items()
        return {name: _video_images(frames, [frame.frame_index for frame in only.frames])}
    rows = frame_rows(sequences, frames)
    _check_images([row.frame.frame_index for row in rows if not row.path.is_file()], frames, len(rows))
    if len({row.path for row in rows}) < len(rows):
        raise DataError(f"{frames}: the same images for several videos. Give the folder that holds the videos' folders.")
    return {name: _file_images([row.path for row in rows if row.video == name]) for name in sequences}


def _check_images(missing: list[int], folder: Path, count: int) -> None:
    if missing:
        raise DataError(f"{folder}: no image for frame {missing[0]} ({len(missing)} of {count} missing). Give the folder of the frames.")


def _file_images(paths: list[Path]) -> OpenImages:
    return lambda: map(read_image, paths)


def _video_images(path: Path, indices: list[int]) -> OpenImages:
    """Opens the frames of a video file; numbers count from 0, or from 1 where the last one is the video's number of frames."""
    if not path.is_file():
        raise DataError(f"{path}: no such folder or video. Give the folder of the images, or the video.")

    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():  # the container's own number of frames may be wrong
        count += 1
    capture.release()
    first = 1 if indices[-1] == count and indices[0] > 0 else 0
    if indices[-1] - first >= count:
        raise DataError(f"{path}: {count} frames can be read, the predictions go to frame {indices[-1]}. Give their video.")

    def read() -> Iterator[Image]:
        capture, wanted = cv2.VideoCapture(str(path)), {index - first for index in indices}
        for position in range(indices[-1] - first + 1):
            capture.grab()
            if position in wanted:
                _, image = capture.retrieve()
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        capture.release()

    return read
