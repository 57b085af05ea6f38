"""Time of PoseTrack scoring (AP and MOT, poseval mode) on drawn tracks: prints a table, writes reports/benchmarks/posetrack_scoring.json.

Run: OMP_NUM_THREADS=1 python benchmarks/posetrack_scoring.py [--sequences 5 --frames 30 --people 7]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence, read_folder, write_sequence
from poseline.datasets.posetrack.scoring import score_posetrack

Result = TypeVar("Result")


def draw_video(name: str, num_frames: int, num_people: int, rng: np.random.Generator) -> tuple[PoseTrackSequence, PoseTrackSequence]:
    """A true video of walking point clouds, and a prediction with jitter, misses, false positives and one swap of ids."""
    offsets = rng.normal(0, 40, (num_people, 17, 2))
    start, speed = rng.uniform(100, 1800, (num_people, 1, 2)), rng.normal(0, 4, (num_people, 1, 2))
    truth, predicted = [], []
    for t in range(num_frames):
        keypoints = start + speed * t + offsets
        centre = keypoints[:, 2]
        heads = np.concatenate([centre - 12, centre + 12], axis=1)
        found = rng.random(num_people) > 0.1
        ids = np.arange(num_people)
        if t > num_frames // 2:
            ids[[0, 1]] = 1, 0
        poses = np.concatenate([keypoints + rng.normal(0, 4, keypoints.shape), rng.uniform(0, 1900, (1, 17, 2))])
        kept = np.append(found, rng.random() < 0.5)
        truth.append(_frame(name, t, keypoints, rng.random((num_people, 17)) > 0.1, np.arange(num_people), heads, rng))
        predicted.append(_frame(name, t, poses[kept], np.ones((kept.sum(), 17), bool), np.append(ids, 50 + t)[kept], None, rng))
    return PoseTrackSequence(name, tuple(truth)), PoseTrackSequence(name, tuple(predicted))


def _frame(
    name: str, t: int, keypoints: np.ndarray, present: np.ndarray, ids: np.ndarray, heads: np.ndarray | None, rng: np.random.Generator
) -> PoseTrackFrame:
    count = len(keypoints)
    poses = PoseSet(
        keypoints=keypoints, keypoint_scores=rng.random((count, 17)),
        bbox_xyxy=np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1),
        visibility=np.where(present, 2, 0), track_ids=ids,
    )
    return PoseTrackFrame(
        1_000_000 + t, f"images/val/{name}/{t:06d}.jpg", t, True, (), poses, np.full((count, 4), -1.0) if heads is None else heads
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=5)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--people", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks/posetrack_scoring.json"))
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    truth, predicted = {}, {}
    for number in range(options.sequences):
        name = f"{number:06d}_mpii_test"
        truth[name], predicted[name] = draw_video(name, options.frames, options.people, rng)
    times: dict[str, list[float]] = {name: [] for name in ("read_s", "score_s", "read_cpu_s", "score_cpu_s")}
    with tempfile.TemporaryDirectory() as folder:
        for side, videos in (("truth", truth), ("predicted", predicted)):
            for name, video in videos.items():
                write_sequence(Path(folder) / side / f"{name}.json", video)
        for _ in range(options.repeats):
            (read_truth, read_predicted), wall, cpu = measure(lambda: [read_folder(Path(folder) / side) for side in ("truth", "predicted")])
            times["read_s"].append(wall)
            times["read_cpu_s"].append(cpu)
            score, wall, cpu = measure(partial(score_posetrack, read_truth, read_predicted))
            times["score_s"].append(wall)
            times["score_cpu_s"].append(cpu)
    result = {key: {"median": float(np.median(value)), "best": min(value)} for key, value in times.items()}
    for key, value in result.items():
        print(f"{key:12s} median {value['median']:.3f}  best {value['best']:.3f}")
    print({key: round(value, 4) for key, value in score.metrics.items()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**vars(options), "out": str(options.out), **result}, indent=2), encoding="utf-8")


def measure(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """What ``work`` gives, and the wall and processor seconds it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
