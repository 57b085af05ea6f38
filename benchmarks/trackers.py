"""Trackers side by side on real pedestrians' trajectories: HOTA, IDF1, MOTA, switches, number of ids.

    python benchmarks/trackers.py --real DIR [--inputs drop occlude detections] [--thin 1 2 4] [--seeds 3] [--kinds bytepose poseflow]

``DIR/mot`` (by default of $POSELINE_REAL) holds MOT Challenge sequences: VIDEO/gt/gt.txt, where there is one VIDEO/det/det.txt. Inputs:
``drop``: the ground truth with 10 % misses, 5 % jitter and 5 % false positives; ``occlude``: also without those half covered by a
nearer person; ``detections``: the sequence's own, scores by rank. A box becomes a pose by a fixed pattern with 2 % jitter a keypoint.
Where the package `trackers` (2.6.1) is installed, its ByteTrack, SORT, OC-SORT and BoT-SORT run on the same boxes.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

from poseline.config.tracking import OfflineConfig, TrackConfig
from poseline.core.boxes import box_iou, xywh_to_xyxy
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.mot.files import read_detection_rows
from poseline.metrics.track_frames import TrackFrame
from poseline.metrics.tracking_score import score_track_frames
from poseline.track.build import track_video

OUT = Path("reports/benchmarks/trackers.json")
COLUMNS = ("hota", "idf1", "mota", "switches", "ids")
PATTERN = np.array([
    [0.5, 0.08], [0.54, 0.06], [0.46, 0.06], [0.58, 0.08], [0.42, 0.08], [0.68, 0.22], [0.32, 0.22], [0.75, 0.38], [0.25, 0.38],
    [0.78, 0.52], [0.22, 0.52], [0.62, 0.52], [0.38, 0.52], [0.62, 0.74], [0.38, 0.74], [0.62, 0.96], [0.38, 0.96],
])  # fmt: skip

Boxes = dict[int, np.ndarray]
"""Frame -> rows of x, y, w, h and then the id (ground truth) or the score (detections)."""


def read_ground_truth(path: Path) -> Boxes:
    """The pedestrians that count."""
    rows = read_detection_rows(path)
    rows = rows[(rows[:, 6] != 0) & np.isin(rows[:, 7], (1, -1))]
    return {int(f): rows[rows[:, 0] == f][:, [2, 3, 4, 5, 1]] for f in np.unique(rows[:, 0])}


def thin(boxes: Boxes, last: int, stride: int) -> Boxes:
    """Every ``stride``-th frame, numbered from 1 again."""
    return {i + 1: boxes[f] for i, f in enumerate(range(1, last + 1, stride)) if f in boxes}


def simulate(truth: Boxes, seed: int, *, occlude: bool) -> Boxes:
    """Detections drawn from the ground truth."""
    rng, every = np.random.RandomState(seed), np.concatenate(list(truth.values()))[:, :4]
    low, high = every[:, :2].min(axis=0), (every[:, :2] + every[:, 2:]).max(axis=0)
    out: Boxes = {}
    for frame in range(1, max(truth) + 1):
        people, rows = truth.get(frame, np.zeros((0, 5))), []
        for person, (x, y, w, h, _) in enumerate(people):
            if rng.rand() < 0.10 or (occlude and _covered(people, person) > 0.5):
                continue
            cx, cy = x + w / 2 + rng.normal(0, 0.05 * w), y + h / 2 + rng.normal(0, 0.05 * h)
            w, h = w * np.exp(rng.normal(0, 0.05)), h * np.exp(rng.normal(0, 0.05))
            rows.append([cx - w / 2, cy - h / 2, w, h, rng.uniform(0.6, 0.95)])
        for _ in range(rng.binomial(max(len(people), 1), 0.05)):
            w, h = every[rng.randint(len(every)), 2:]
            x = rng.uniform(low[0], max(high[0] - w, low[0] + 1))
            rows.append([x, rng.uniform(low[1], max(high[1] - h, low[1] + 1)), w, h, rng.uniform(0.3, 0.7)])
        out[frame] = np.array(rows).reshape(-1, 5)
    return out


def _covered(people: np.ndarray, person: int) -> float:
    """The largest part of a person's box that one nearer person covers."""
    x, y, w, h = people[person, :4]
    nearer = people[people[:, 1] + people[:, 3] > y + h]
    wide = np.minimum(x + w, nearer[:, 0] + nearer[:, 2]) - np.maximum(x, nearer[:, 0])
    tall = np.minimum(y + h, nearer[:, 1] + nearer[:, 3]) - np.maximum(y, nearer[:, 1])
    return float((np.maximum(wide, 0) * np.maximum(tall, 0)).max(initial=0) / (w * h))


def read_detections(path: Path, last: int) -> Boxes:
    """The sequence's own detections, scores from .2 to .95 by rank."""
    rows = read_detection_rows(path)
    rank = np.empty(len(rows))
    rank[np.argsort(rows[:, 6], kind="stable")] = (np.arange(len(rows)) + 0.5) / len(rows)
    boxes = np.column_stack([rows[:, 2:6], 0.2 + 0.75 * rank])
    return {f: boxes[rows[:, 0] == f] for f in range(1, last + 1)}


def track_ours(config: TrackConfig, boxes: Boxes, seed: int) -> Boxes:
    """Tracked boxes: x, y, w, h, id."""
    rng, skeleton = np.random.RandomState(seed + 1000), load_skeleton("coco17")
    poses = []
    for rows in boxes.values():
        points = PATTERN + rng.normal(0, 0.02, (len(rows), *PATTERN.shape))
        scores = np.repeat(rows[:, 4:], len(PATTERN), axis=1)
        keypoints = rows[:, None, :2] + points * rows[:, None, 2:4]
        poses.append(PoseSet(keypoints=keypoints, keypoint_scores=scores, bbox_xyxy=xywh_to_xyxy(rows[:, :4]), pose_scores=rows[:, 4]))
    tracked = track_video(config, skeleton, poses, frame_indices=list(boxes))
    return {
        frame: np.column_stack([one.bbox_xyxy[:, :2], one.bbox_xyxy[:, 2:] - one.bbox_xyxy[:, :2], one.track_ids])
        for frame, one in zip(boxes, tracked, strict=True)
    }


def public_trackers() -> dict[str, Callable[[Boxes], Boxes]]:
    """Name -> run on boxes; none where the package is missing."""
    try:
        supervision, trackers = import_module("supervision"), import_module("trackers")  # not among our extras: for this comparison alone
    except ImportError:
        return {}

    def run(make: Callable[[], object]) -> Callable[[Boxes], Boxes]:
        def track(boxes: Boxes) -> Boxes:
            tracker, out = make(), {}
            for frame, rows in boxes.items():
                detections = supervision.Detections(xywh_to_xyxy(rows[:, :4]), confidence=rows[:, 4], class_id=np.zeros(len(rows), int))
                found = tracker.update(detections)
                if found.tracker_id is not None and len(found):
                    kept = found.tracker_id >= 0
                    xyxy = found.xyxy[kept]
                    out[frame] = np.column_stack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2], found.tracker_id[kept]])
            return out

        return track

    return {
        "ByteTrack": run(trackers.ByteTrackTracker),
        "SORT": run(trackers.SORTTracker),
        "OC-SORT": run(trackers.OCSORTTracker),
        "BoT-SORT, no camera": run(lambda: trackers.BoTSORTTracker(enable_cmc=False)),
    }


def score(truth: Boxes, tracked: Boxes) -> list[float]:
    """The columns; TrackEval's values."""
    empty, frames, ids = np.zeros((0, 5)), [], set()
    for frame in range(1, max(truth) + 1):
        own, other = truth.get(frame, empty), tracked.get(frame, empty)
        iou = box_iou(xywh_to_xyxy(own[:, :4]), xywh_to_xyxy(other[:, :4]))
        frames.append(TrackFrame(own[:, 4].astype(np.int64), other[:, 4].astype(np.int64), iou))
        ids |= set(other[:, 4].astype(int).tolist())
    metrics = score_track_frames({"one": frames}).metrics
    return [100 * metrics["hota"], 100 * metrics["idf1"], 100 * metrics["clear_mota"], metrics["switches"], len(ids)]


def compare(
    folders: list[Path], kind: str, stride: int, seeds: int, runs: Mapping[str, Callable[[Boxes, int], Boxes]]
) -> dict[str, object]:
    """Tracker -> sequence -> columns, means over the seeds."""
    table: dict[str, dict[str, list[float]]] = {name: {} for name in runs}
    for folder in folders:
        whole = read_ground_truth(folder / "gt/gt.txt")
        truth = thin(whole, max(whole), stride)
        rows: dict[str, list[list[float]]] = {name: [] for name in runs}
        for seed in range(1 if kind == "detections" else seeds):
            if kind == "detections":
                found = thin(read_detections(folder / "det/det.txt", max(whole)), max(whole), stride)
                boxes = {frame: row for frame, row in found.items() if frame <= max(truth)}
            else:
                boxes = simulate(truth, seed, occlude=kind == "occlude")
            for name, run in runs.items():
                rows[name].append(score(truth, run(boxes, seed)))
        for name, values in rows.items():
            table[name][folder.name] = np.mean(values, axis=0).round(2).tolist()
    means = {name: np.mean(list(rows.values()), axis=0).round(2).tolist() for name, rows in table.items()}
    for name, row in means.items():
        print(f"{kind:10s} 1/{stride} {name:22s}", *(f"{c} {v:6.1f}" for c, v in zip(COLUMNS, row, strict=True)), flush=True)
    return {"input": kind, "stride": stride, "columns": COLUMNS, "means": means, "sequences": table}


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=os.environ.get("POSELINE_REAL"))
    parser.add_argument("--inputs", nargs="+", default=["drop", "occlude", "detections"])
    parser.add_argument("--thin", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=["bytepose", "poseflow"])
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if arguments.real is None:
        parser.error("no real data: give --real DIR or set POSELINE_REAL")
    runs: dict[str, Callable[[Boxes, int], Boxes]] = {
        kind: lambda boxes, seed, kind=kind: track_ours(TrackConfig(kind=kind), boxes, seed) for kind in arguments.kinds
    }
    runs["bytepose, offline"] = lambda boxes, seed: track_ours(TrackConfig(offline=OfflineConfig(enabled=True)), boxes, seed)
    runs |= {name: lambda boxes, seed, run=run: run(boxes) for name, run in public_trackers().items()}
    folders = sorted(path.parents[1] for path in Path(arguments.real).glob("mot/*/gt/gt.txt"))
    results = []
    for stride in arguments.thin:
        for kind in arguments.inputs:
            chosen = [folder for folder in folders if kind != "detections" or (folder / "det/det.txt").is_file()]
            results.append(compare(chosen, kind, stride, arguments.seeds, runs))
            arguments.out.write_text(json.dumps({"seeds": arguments.seeds, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
