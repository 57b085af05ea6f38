"""Tracking of boxes alone: MOT detection files or COCO result lists without keypoints in, MOT result files out."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # its parts load when they are used: statistics and signals take a second
from jaxtyping import Float, Int

from poseline.artifacts import write_text
from poseline.config.tracking import TrackConfig
from poseline.core.boxes import xywh_to_xyxy, xyxy_to_xywh
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.categories import of_category
from poseline.datasets.frame_order import count_steps
from poseline.datasets.json_files import finite_matrix, finite_numbers, read_entries
from poseline.datasets.list_frames import list_frames
from poseline.datasets.mot.files import read_detection_rows
from poseline.errors import DataError
from poseline.track.build import track_video

PLACEHOLDER = load_skeleton("coco17")
"""Trackers ask for a skeleton; none of its keypoints is ever seen or written."""


@dataclass(frozen=True, eq=False)
class BoxVideo:
    """The detected boxes of one video.

    Attributes:
        name: of the video.
        frames: frame number of each box.
        bbox_xywh: pixels.
        scores: as the file has them.
        frames_per_second: of the video; None where nothing tells it.
    """

    name: str
    frames: Int[np.ndarray, " N"]
    bbox_xywh: Float[np.ndarray, "N 4"]
    scores: Float[np.ndarray, " N"]
    frames_per_second: float | None


def read_box_videos(path: Path) -> list[BoxVideo]:
    """The boxes of a MOT detection file (.txt), one video, or of a COCO result list without keypoints (.json), one or several.

    ``VIDEO/det/det.txt`` is called VIDEO, and ``VIDEO/seqinfo.ini`` gives the frame rate.

    Raises:
        DataError: missing or in neither format, no boxes, or entries with keypoints.
    """
    if path.suffix.lower() == ".json":
        return _listed(path)
    rows = read_detection_rows(path)
    if not len(rows):
        raise DataError(f"{path}: no boxes. Run the detector again.")
    shipped = path.parent.name == "det"
    name = path.resolve().parents[1].name if shipped else path.stem
    rate = _sequence_rate(path.resolve().parents[1] / "seqinfo.ini") if shipped else None
    return [BoxVideo(name, rows[:, 0].astype(np.int64), rows[:, 2:6], rows[:, 6], rate)]


def track_boxes(config: TrackConfig, path: Path, out: Path, *, known_rate: bool = False) -> dict[str, int]:
    """Counts after writing ``out/VIDEO.txt``: frame, id, left, top, width, height, score, -1, -1, -1 for each tracked box.

    Scores outside 0..1 are put onto it, since every detector has its own scale (:func:`scale_scores`). The sequence's frame rate
    goes before the configured one unless ``known_rate``.

    Raises:
        DataError: a bad file, or the result would replace it.
    """
    videos = read_box_videos(path)
    counts = dict.fromkeys(("videos", "frames", "boxes", "tracks", "left_out"), 0)
    for video in videos:
        target = out / f"{video.name}.txt"
        if target.resolve() == path.resolve():
            raise DataError(f"{target}: the result would replace the boxes. Give --out another folder.")
        timed = config
        if video.frames_per_second is not None and not known_rate:
            timed = config.model_copy(update={"frames_per_second": video.frames_per_second})
        for key, count in _track_video(timed, video, target).items():
            counts[key] += count
    return counts


def _track_video(config: TrackConfig, video: BoxVideo, target: Path) -> dict[str, int]:
    """Counts after writing the tracks of one video."""
    indices = np.unique(video.frames).tolist()
    scores = scale_scores(video.scores)
    rows = [np.flatnonzero(video.frames == index) for index in indices]
    frames = [_as_poses(video.bbox_xywh[chosen], scores[chosen], video.scores[chosen]) for chosen in rows]
    tracked = track_video(config, PLACEHOLDER, frames, frame_indices=count_steps(indices))
    lines = [line for index, poses in zip(indices, tracked, strict=True) for line in _lines(index, poses)]
    write_text(target, "".join(f"{line}\n" for line in lines))
    ids = np.concatenate([poses.track_ids for poses in tracked])
    return {"videos": 1, "frames": len(indices), "boxes": len(ids), "tracks": len(np.unique(ids)), "left_out": len(scores) - len(ids)}


def scale_scores(scores: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Scores within 0..1 as they are; greater ones against their 90 % quantile; where some are negative by rank, .2 to .95.

    >>> scale_scores(np.array([0.3])).tolist(), scale_scores(np.array([50.0, 50.0, 25.0])).tolist()
    ([0.3], [1.0, 1.0, 0.5])
    >>> scale_scores(np.array([-3.0, 40.0])).round(3).tolist()
    [0.388, 0.762]
    """
    if not len(scores) or (scores.min() >= 0 and scores.max() <= 1):
        return scores
    if scores.min() < 0:
        return np.asarray(0.2 + 0.75 * (scipy.stats.rankdata(scores) - 0.5) / len(scores))
    return np.clip(scores / max(float(np.quantile(scores, 0.9)), 1e-9), 0, 1)


def _as_poses(bbox_xywh: Float[np.ndarray, "N 4"], scores: Float[np.ndarray, " N"], given: Float[np.ndarray, " N"]) -> PoseSet:
    """Poses without any keypoint; the file's own scores travel as box scores."""
    count, keypoints = len(scores), PLACEHOLDER.num_keypoints
    return PoseSet(
        keypoints=np.zeros((count, keypoints, 2)),
        keypoint_scores=np.zeros((count, keypoints)),
        bbox_xyxy=xywh_to_xyxy(bbox_xywh),
        bbox_scores=given,
        pose_scores=scores,
        visibility=np.zeros((count, keypoints), dtype=np.uint8),
    )


def _lines(index: int, poses: PoseSet) -> list[str]:
    boxes = xyxy_to_xywh(poses.bbox_xyxy.astype(np.float64))
    return [
        f"{index},{track_id},{box[0]:.2f},{box[1]:.2f},{box[2]:.2f},{box[3]:.2f},{score:.6g},-1,-1,-1"
        for track_id, box, score in zip(poses.track_ids.tolist(), boxes.tolist(), poses.bbox_scores.tolist(), strict=True)
    ]


def _sequence_rate(path: Path) -> float | None:
    """Frames per second of a MOT sequence's description; None where there is none."""
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding="utf-8")
        rate = parser.getfloat("Sequence", "frameRate", fallback=0.0)
    except (configparser.Error, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: not a sequence description ({str(error).splitlines()[0]}). Fix it or give --fps.") from None
    return rate if rate > 0 else None


def _listed(path: Path) -> list[BoxVideo]:
    """The boxes of a COCO result list, a video each."""
    listed, _ = of_category(read_entries(path, expected="boxes"), None, path=path, what="boxes")
    if not listed:
        raise DataError(f"{path}: no boxes. Run the detector again.")
    where = [f"{path}: entry {position}" for position in range(len(listed))]
    for entry, place in zip(listed, where, strict=True):
        if entry.get("keypoints"):
            raise DataError(f"{place}: has keypoints. Give lists of poses as --predictions.")
    boxes = finite_matrix(listed, "bbox", 4, where=where)
    scores = finite_numbers([{"score": entry.get("score", 1.0)} for entry in listed], "score", where=where)
    videos = []
    for name, found in list_frames(listed, path).items():
        frames = np.array([number for number, rows in found.rows.items() for _ in rows], dtype=np.int64)
        rows = np.array([row for rows in found.rows.values() for row in rows], dtype=np.int64)
        videos.append(BoxVideo(name, frames, boxes[rows], scores[rows], None))
    return videos
