"""MOT Challenge sequences as a tracker gets them: ground truth, and its own or simulated detections as poses.

``drop`` makes detections from the ground truth: 10 % misses, 5 % jitter, 5 % false positives; ``occlude`` also misses those half covered
by a nearer person; ``detections`` are the sequence's own (VIDEO/det/det.txt), their scores .2 to .95 by rank. A box becomes a pose by a
fixed pattern of the 17 COCO keypoints, each moved by 2 % of the box, so that OKS means something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy  # its parts load when they are used: statistics and signals take a second
from jaxtyping import Float

from poseline.config.tracking import TrackConfig
from poseline.core.boxes import box_iou, xywh_to_xyxy
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.json_files import list_folder
from poseline.datasets.mot.files import MOT_PERSON, read_detection_rows
from poseline.errors import DataError
from poseline.metrics.track_frames import TrackFrame
from poseline.metrics.tracking_score import score_track_frames
from poseline.track.build import track_video

Input = Literal["drop", "occlude", "detections"]
SKELETON = load_skeleton("coco17")
PATTERN = np.array([
    [0.5, 0.08], [0.54, 0.06], [0.46, 0.06], [0.58, 0.08], [0.42, 0.08], [0.68, 0.22], [0.32, 0.22], [0.75, 0.38], [0.25, 0.38],
    [0.78, 0.52], [0.22, 0.52], [0.62, 0.52], [0.38, 0.52], [0.62, 0.74], [0.38, 0.74], [0.62, 0.96], [0.38, 0.96],
])  # fmt: skip
"""Place of each keypoint in a person's box."""
MISS_RATE, JITTER, FALSE_POSITIVE_RATE, COVERED = 0.10, 0.05, 0.05, 0.5

Boxes = dict[int, np.ndarray]
"""Frame -> rows of left, top, width, height and then the id (ground truth, tracks) or the score (detections)."""


@dataclass(frozen=True, eq=False)
class RealSequence:
    """Ground truth of one sequence, and detections of the same frames; frames from 1, rising."""

    name: str
    ground_truth: Boxes
    detections: Boxes


def read_sequences(root: Path, kind: Input, *, seed: int = 0, stride: int = 1) -> dict[str, RealSequence]:
    """The sequences of a folder by name, every ``stride``-th frame, numbered from 1 as if those were all.

    Those without detections of their own are left out where ``kind`` asks for them. The seed draws simulated detections.

    Raises:
        DataError: no such folder, no sequences in it, or a bad file.
    """
    found = {}
    for path in list_folder(root, "*/gt/gt.txt"):
        folder = path.parents[1]
        if kind == "detections" and not (folder / "det/det.txt").is_file():
            continue
        whole = read_people(path)
        if not whole:
            raise DataError(f"{path}: no person that counts. Remove the sequence.")
        last = max(whole)
        people = thin(whole, last, stride)
        if kind == "detections":
            detected = thin(read_detections(folder / "det/det.txt", last), last, stride)
            boxes = {frame: rows for frame, rows in detected.items() if frame <= max(people)}
        else:
            boxes = simulate(people, seed, occlude=kind == "occlude")
        found[folder.name] = RealSequence(folder.name, people, boxes)
    if not found:
        wanted = "VIDEO/gt/gt.txt" + (" beside VIDEO/det/det.txt" if kind == "detections" else "")
        raise DataError(f"{root}: no {wanted} in it. Give a folder of MOT Challenge sequences.")
    return found


def read_people(path: Path) -> Boxes:
    """The pedestrians of a ground-truth file that count."""
    rows = read_detection_rows(path)
    rows = rows[(rows[:, 6] != 0) & np.isin(rows[:, 7], (MOT_PERSON, -1))]
    return {int(frame): rows[rows[:, 0] == frame][:, [2, 3, 4, 5, 1]] for frame in np.unique(rows[:, 0])}


def read_detections(path: Path, last: int) -> Boxes:
    """The boxes of a detection file, up to frame ``last``; scores from .2 to .95 by rank."""
    rows = read_detection_rows(path)
    rank = (scipy.stats.rankdata(rows[:, 6], method="ordinal") - 0.5) / max(len(rows), 1)
    boxes = np.column_stack([rows[:, 2:6], 0.2 + 0.75 * rank])
    return {frame: boxes[rows[:, 0] == frame] for frame in range(1, last + 1)}


def thin(boxes: Boxes, last: int, stride: int) -> Boxes:
    """Every ``stride``-th frame, numbered from 1 again."""
    return {place: boxes[frame] for place, frame in enumerate(range(1, last + 1, stride), start=1) if frame in boxes}


def simulate(people: Boxes, seed: int, *, occlude: bool) -> Boxes:
    """Detections drawn from the ground truth."""
    rng, every = np.random.RandomState(seed), np.concatenate(list(people.values()))[:, :4]
    low, high = every[:, :2].min(axis=0), (every[:, :2] + every[:, 2:]).max(axis=0)
    out: Boxes = {}
    for frame in range(1, max(people) + 1):
        present, rows = people.get(frame, np.zeros((0, 5))), []
        for person, (x, y, w, h, _) in enumerate(present):
            if rng.rand() < MISS_RATE or (occlude and _covered(present, person) > COVERED):
                continue
            cx, cy = x + w / 2 + rng.normal(0, JITTER * w), y + h / 2 + rng.normal(0, JITTER * h)
            w, h = w * np.exp(rng.normal(0, JITTER)), h * np.exp(rng.normal(0, JITTER))
            rows.append([cx - w / 2, cy - h / 2, w, h, rng.uniform(0.6, 0.95)])
        for _ in range(rng.binomial(max(len(present), 1), FALSE_POSITIVE_RATE)):
            w, h = every[rng.randint(len(every)), 2:]
            x = rng.uniform(low[0], max(high[0] - w, low[0] + 1))
            rows.append([x, rng.uniform(low[1], max(high[1] - h, low[1] + 1)), w, h, rng.uniform(0.3, 0.7)])
        out[frame] = np.array(rows).reshape(-1, 5)
    return out


def _covered(people: np.ndarray, person: int) -> float:
    """The largest fraction of a person's box that one nearer person covers."""
    x, y, w, h = people[person, :4]
    nearer = people[people[:, 1] + people[:, 3] > y + h]
    wide = np.minimum(x + w, nearer[:, 0] + nearer[:, 2]) - np.maximum(x, nearer[:, 0])
    tall = np.minimum(y + h, nearer[:, 1] + nearer[:, 3]) - np.maximum(y, nearer[:, 1])
    return float((np.maximum(wide, 0) * np.maximum(tall, 0)).max(initial=0) / (w * h))


def track_sequence(config: TrackConfig, detections: Boxes, seed: int = 0) -> Boxes:
    """Tracks of the detections made into poses: left, top, width, height, id."""
    rng, poses = np.random.RandomState(seed + 1000), []
    for rows in detections.values():
        points = PATTERN + rng.normal(0, 0.02, (len(rows), *PATTERN.shape))
        scores = np.repeat(rows[:, 4:], len(PATTERN), axis=1)
        keypoints = rows[:, None, :2] + points * rows[:, None, 2:4]
        poses.append(PoseSet(keypoints=keypoints, keypoint_scores=scores, bbox_xyxy=xywh_to_xyxy(rows[:, :4]), pose_scores=rows[:, 4]))
    tracked = track_video(config, SKELETON, poses, frame_indices=list(detections))
    return {
        frame: np.column_stack([one.bbox_xyxy[:, :2], one.bbox_xyxy[:, 2:] - one.bbox_xyxy[:, :2], one.track_ids])
        for frame, one in zip(detections, tracked, strict=True)
    }


def score_sequence(ground_truth: Boxes, tracked: Boxes) -> dict[str, float]:
    """``hota``, ``idf1``, ``mota``, ``switches`` and ``ids`` (number of ids) as TrackEval computes them; fractions, not percent."""
    empty, frames, ids = np.zeros((0, 5)), [], set[int]()
    for frame in range(1, max(ground_truth) + 1):
        own, other = ground_truth.get(frame, empty), tracked.get(frame, empty)
        similarity: Float[np.ndarray, "N M"] = box_iou(xywh_to_xyxy(own[:, :4]), xywh_to_xyxy(other[:, :4]))
        frames.append(TrackFrame(own[:, 4].astype(np.int64), other[:, 4].astype(np.int64), similarity))
        ids |= set(other[:, 4].astype(int).tolist())
    metrics = score_track_frames({"one": frames}).metrics
    return {
        "hota": metrics["hota"], "idf1": metrics["idf1"], "mota": metrics["clear_mota"], "switches": metrics["switches"],
        "ids": float(len(ids)),
    }  # fmt: skip
