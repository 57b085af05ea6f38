"""Prediction files of any format as videos to track, with their images where given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.datasets.frame_order import FrameOrder, number_frames
from poseline.datasets.images import list_images, read_image
from poseline.datasets.json_files import is_result_list, read_json
from poseline.datasets.pose_lists import ListedVideo, read_pose_results
from poseline.datasets.posetrack.annotations import frame_rows
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.video import PoseTrackFrame, PoseTrackSequence
from poseline.errors import DataError
from poseline.infer.draw import Image

OpenImages = Callable[[], Iterator[Image]]


@dataclass(frozen=True, eq=False)
class PoseVideo:
    """One video of a prediction file.

    Attributes:
        sequence: its frames in the result format, without poses where ``poses`` are of another skeleton.
        poses: what is tracked, a set a frame.
        skeleton: of ``poses``.
        open_images: gives the frames' images from the first on, each time it is called; None without images.
        frames_per_second: of the video file; None where there is none, or it does not say.
        counted: whether the frames' names number them; else they are in natural order.
    """

    sequence: PoseTrackSequence
    poses: list[PoseSet]
    skeleton: Skeleton
    open_images: OpenImages | None
    frames_per_second: float | None = None
    counted: bool = True

    def describe(self) -> str:
        """How its frames were understood, on one line."""
        order = FrameOrder(tuple(frame.frame_index for frame in self.sequence.frames), self.counted)
        return f"{self.sequence.name}: {order.describe()}"


def open_videos(predictions: Path, frames: Path | None, skeleton: Skeleton) -> list[PoseVideo]:
    """The videos of a prediction file or folder with their images.

    Raises:
        DataError: a file is missing or not in its format, frames are out of order, or a frame has no image.
    """
    rate = _frame_rate(frames) if frames is not None and frames.is_file() else None
    if predictions.is_file() and is_result_list(read_json(predictions)):
        found = read_pose_results(predictions, skeleton)
        listed = [_listed_video(name, poses, frames, skeleton, single=len(found) == 1) for name, poses in found.items()]
        return [replace(video, frames_per_second=rate) for video in listed]
    sequences = read_folder(predictions, with_ids=False)
    people = [frame.people for sequence in sequences.values() for frame in sequence.frames if len(frame.people)]
    if people and not any((poses.visibility > 0).any() for poses in people):
        raise DataError(f"{predictions}: boxes without any keypoints. Track boxes with --boxes FILE in place of --predictions.")
    images = _sequence_images(sequences, frames)
    posetrack = load_skeleton("posetrack17")
    return [
        PoseVideo(sequence, [frame.people for frame in sequence.frames], posetrack, images[name], rate)
        for name, sequence in sequences.items()
    ]


def _listed_video(name: str, listed: ListedVideo, frames: Path | None, skeleton: Skeleton, *, single: bool) -> PoseVideo:
    """A video of a list of poses: with images, every image is a frame; without, every frame named is one."""
    files: dict[int, Path] = {}
    found, order = listed.frames, listed.order
    if frames is not None and frames.is_dir():
        folder = _image_folder(name, listed.folder, frames, single=single)
        paths = list_images(folder)
        order = number_frames([path.name for path in paths], where=str(folder))
        files = dict(zip(order.numbers, paths, strict=True))
        found = _poses_of_files(listed, files, folder, counted=order.counted)
    elif frames is not None and not single:
        raise DataError(f"{frames}: one video file for several videos. Give a folder that holds a folder of images for each.")
    indices = sorted(files) or sorted(found)
    empty = PoseSet.empty(skeleton.num_keypoints)
    nobody = PoseSet.empty(load_skeleton("posetrack17").num_keypoints)
    bases = {index: files[index].name if files else _file_name(listed.names[index], index) for index in indices}
    sequence = PoseTrackSequence(name, tuple(
        PoseTrackFrame(index, f"{name}/{bases[index]}", index, True, (), nobody, np.zeros((0, 4))) for index in indices
    ))  # fmt: skip
    images = _video_images(frames, indices) if frames is not None and not files else _file_images([files[i] for i in sorted(files)])
    poses = [found.get(index, empty) for index in indices]
    return PoseVideo(sequence, poses, skeleton, images if frames is not None else None, counted=order.counted)


def _image_folder(name: str, folder: str, frames: Path, *, single: bool) -> Path:
    """The folder of a video's images: the longest tail of the folder in their names that is there, or the folder of its name."""
    parts = folder.split("/") if folder else []
    tails = ["/".join(parts[place:]) for place in range(len(parts))]
    inside = next((frames / tail for tail in (*tails, name) if (frames / tail).is_dir()), None)
    return inside or (frames if single else frames / name)


def _poses_of_files(listed: ListedVideo, files: dict[int, Path], folder: Path, *, counted: bool) -> dict[int, PoseSet]:
    """The poses by the numbers of the image files: an image belongs to the frame of its name, else to the frame of its number.

    Raises:
        DataError: a frame without its image.
    """
    by_name = {name: number for number, path in files.items() for name in (path.stem, path.name)}
    numbers = {number: by_name.get(name) for number, name in listed.names.items()}
    if None in numbers.values() and counted and listed.order.counted:
        numbers = {number: number if number in files else None for number in listed.names}
    missing = sorted(number for number, own in numbers.items() if own is None)
    if missing and not counted:
        raise DataError(f"{folder}: expected images numbered by frame or named as in the list. Rename them 000000.jpg, 000001.jpg, ...")
    _check_images(missing, folder, len(files))
    return {own: listed.frames[number] for number, own in numbers.items() if own is not None}


def _file_name(name: str, index: int) -> str:
    """The image's name in the results: as the list has it, or six digits where that is a number."""
    return f"{index:06d}.jpg" if name.isdecimal() else name


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


def _frame_rate(path: Path) -> float | None:
    """Frames per second that a video file states; None where it states none."""
    capture = cv2.VideoCapture(str(path))
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return rate if np.isfinite(rate) and rate > 0 else None


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
