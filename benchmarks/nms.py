"""CPU time of parametric pose NMS by number of detections and joints, one core; writes reports/benchmarks/nms.json.

Run: OMP_NUM_THREADS=1 python benchmarks/nms.py
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from poseline.core.nms import parametric_pose_nms

# (detections, joints, copies of each person, side of the image in px)
CASES = [
    (10, 17, 2, 1000), (50, 17, 2, 1000), (200, 17, 1, 1000), (200, 17, 4, 1000), (200, 17, 4, 100), (200, 17, 200, 100),
    (50, 26, 2, 1000), (10, 136, 2, 1000), (50, 136, 2, 1000),
]  # fmt: skip


def draw_detections(count: int, joints: int, copies: int, side: int) -> tuple[np.ndarray, ...]:
    """People in a square image, each detected ``copies`` times."""
    rng = np.random.default_rng(0)
    people = rng.uniform(0, side, (count // copies, 1, 2)) + rng.normal(0, 40, (count // copies, joints, 2))
    keypoints = np.repeat(people, copies, axis=0) + rng.normal(0, 3, (count // copies * copies, joints, 2))
    scores = rng.uniform(0.2, 1, keypoints.shape[:2])
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    return keypoints, scores, boxes, rng.uniform(0.3, 1, len(keypoints))


def main() -> None:
    """Prints a table and writes it as JSON."""
    rows = []
    print(f"{'detections':>10} {'joints':>6} {'copies':>6} {'side':>5} {'kept':>5} {'median ms':>10} {'worst ms':>9}")
    for count, joints, copies, side in CASES:
        detections = draw_detections(count, joints, copies, side)
        kept = len(parametric_pose_nms(*detections)[0])
        times = []
        for _ in range(30):
            start = time.process_time()
            parametric_pose_nms(*detections)
            times.append(1e3 * (time.process_time() - start))
        rows.append({"detections": count, "joints": joints, "copies": copies, "side_px": side, "kept": kept,
                     "median_ms": float(np.median(times)), "worst_ms": max(times)})  # fmt: skip
        print(f"{count:>10} {joints:>6} {copies:>6} {side:>5} {kept:>5} {np.median(times):>10.2f} {max(times):>9.2f}")
    path = Path("reports/benchmarks/nms.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
