"""MOT Challenge text files: one line a box, `frame, id, left, top, width, height, confidence, class, visibility`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poseline.core.boxes import xywh_to_xyxy
from poseline.datasets.json_files import list_folder, read_text
from poseline.errors import DataError

MOT_PERSON = 1
# Person on a vehicle, static person, distractor, reflection: neither to be found nor an error to find.
MOT_DISTRACTORS = (2, 7, 8, 12)

WORLD_COLUMNS = 10  # files of 2015 end with world coordinates instead of class and visibility


@dataclass(frozen=True, eq=False)
class MotTracks:
    """The boxes of one video, by rising frame.

    Attributes:
        frames: int64 [R], from 1.
        track_ids: int64 [R].
        bbox_xyxy: float64 [R, 4] pixels, as the file counts them (from 1).
        confidence: float64 [R]; in a ground truth file 0 means not to be scored.
        classes: int64 [R]; -1 where the file has none.
    """

    frames: Int[np.ndarray, " R"]
    track_ids: Int[np.ndarray, " R"]
    bbox_xyxy: Float[np.ndarray, "R 4"]
    confidence: Float[np.ndarray, " R"]
    classes: Int[np.ndarray, " R"]

    @property
    def num_frames(self) -> int:
        """The last frame's number."""
        return int(self.frames.max(initial=0))

    def frame(self, number: int) -> MotTracks:
        """The boxes of one frame."""
        first, last = np.searchsorted(self.frames, (number, number + 1))
        rows = slice(int(first), int(last))
        return MotTracks(self.frames[rows], self.track_ids[rows], self.bbox_xyxy[rows], self.confidence[rows], self.classes[rows])


def read_mot(path: Path, *, ground_truth: bool = False) -> MotTracks:
    """The tracks of a MOT file, sorted by frame. Class and visibility are read from ground truth files only (others hold -1 there).

    Raises:
        DataError: missing, not numbers, too few columns, NaN, a frame below 1, or an id twice in a frame.
    """
    rows = read_detection_rows(path)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    keys, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
    if np.any(counts > 1):
        frame, track = keys[counts > 1][0].astype(int)
        raise DataError(f"{path}: track id {track} occurs twice in frame {frame}. Give each box of a frame its own id.")
    return MotTracks(
        frames=rows[:, 0].astype(np.int64),
        track_ids=rows[:, 1].astype(np.int64),
        bbox_xyxy=xywh_to_xyxy(rows[:, 2:6]),
        confidence=rows[:, 6],
        classes=rows[:, 7].astype(np.int64) if ground_truth else np.full(len(rows), -1),
    )


def read_detection_rows(path: Path) -> Float[np.ndarray, "R 8"]:
    """The lines of a MOT file in its order: frame, id (-1 for detections), left, top, width, height, confidence, class.

    Raises:
        DataError: missing, not numbers, too few columns, NaN, or a frame below 1.
    """
    lines = [line for line in read_text(Path(path), "a MOT Challenge text file").splitlines() if line.strip()]
    rows = np.zeros((len(lines), 8))
    for number, line in enumerate(lines):
        rows[number] = _parse_line(line, f"{path}: line {number + 1}")
    return rows


def read_mot_folder(path: Path, *, ground_truth: bool = False) -> dict[str, MotTracks]:
    """The videos of a folder by name: VIDEO/gt/gt.txt as MOT ships its ground_truth, or VIDEO.txt as predictions are handed in.

    Raises:
        DataError: no such folder, nothing in it, or a bad file.
    """
    path = Path(path)
    if path.is_file():
        return {path.stem: read_mot(path, ground_truth=ground_truth)}
    shipped = {file.parents[1].name: file for file in list_folder(path, "*/gt/gt.txt")}
    files = shipped or {file.stem: file for file in list_folder(path, "*.txt")}
    if not files:
        raise DataError(f"{path}: neither VIDEO/gt/gt.txt nor VIDEO.txt in it. Give a folder of MOT Challenge files.")
    return {name: read_mot(file, ground_truth=ground_truth) for name, file in files.items()}


def _parse_line(line: str, where: str) -> list[float]:
    """Frame, id, box, confidence (1 where absent) and class (-1 where absent)."""
    parts = line.replace(";", ",").split(",") if "," in line or ";" in line else line.split()
    if len(parts) < 6:
        raise DataError(f"{where}: {len(parts)} columns, expected at least frame, id, left, top, width, height. Fix the file.")
    try:
        values = [float(part) for part in parts[:8]]
    except ValueError:
        raise DataError(f"{where}: not numbers: {line[:40]!r}. Fix the file.") from None
    values += [1.0, -1.0][len(values) - 6 :]
    if len(parts) >= WORLD_COLUMNS:
        values[7] = -1.0  # a world coordinate
    if not np.isfinite(values).all() or values[0] < 1 or values[0] != int(values[0]) or values[1] != int(values[1]):
        raise DataError(f"{where}: expected a frame from 1 on, a whole id and finite numbers, got {line[:40]!r}. Fix the file.")
    return values
