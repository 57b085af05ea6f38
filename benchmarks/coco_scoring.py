"""CPU time and memory of scoring a set of COCO val's size from JSON, one core; writes reports/benchmarks/coco_scoring.json.

Run: OMP_NUM_THREADS=1 python benchmarks/coco_scoring.py [--official]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from poseline.datasets.coco_scoring import read_ground_truth, read_predictions
from poseline.evaluation.bootstrap import compare_tables
from poseline.metrics.keypoint_ap import score_coco, score_with_pycocotools

NUM_IMAGES, NUM_PEOPLE, NUM_DETECTIONS = 5000, 11_004, 78_000


def write_files(folder: Path) -> None:
    """Ground truth and two result files: half of the images without people, some crowds, most detections strays."""
    rng = np.random.default_rng(0)
    owners = rng.choice(NUM_IMAGES // 2, NUM_PEOPLE, p=(weights := rng.gamma(0.8, 1, NUM_IMAGES // 2)) / weights.sum()) + 1
    size = rng.lognormal(4.6, 0.8, NUM_PEOPLE)
    keypoints = rng.uniform(0, 640, (NUM_PEOPLE, 1, 2)) + rng.uniform(-0.5, 0.5, (NUM_PEOPLE, 17, 2)) * size[:, None, None]
    flags = rng.choice(3, (NUM_PEOPLE, 17), p=[0.3, 0.1, 0.6])
    flags[rng.random(NUM_PEOPLE) < 0.4] = 0
    points = np.concatenate([keypoints.round(2), flags[..., None]], axis=2).reshape(NUM_PEOPLE, 51)
    boxes = np.concatenate([keypoints.min(axis=1), np.ptp(keypoints, axis=1)], axis=1).round(2)
    people = [
        {"id": i + 1, "image_id": int(owners[i]), "category_id": 1, "keypoints": points[i].tolist(), "area": float(size[i] ** 2 / 2),
         "num_keypoints": int((flags[i] > 0).sum()), "bbox": boxes[i].tolist(), "iscrowd": int(i % 43 == 0)}
        for i in range(NUM_PEOPLE)
    ]  # fmt: skip
    images = [{"id": i + 1} for i in range(NUM_IMAGES)]
    category = [{"id": 1, "name": "person", "keypoints": [str(k) for k in range(17)]}]
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": people, "categories": category}))
    source = np.concatenate([np.arange(NUM_PEOPLE), rng.integers(0, NUM_PEOPLE, NUM_DETECTIONS - NUM_PEOPLE)])
    where = np.where(np.arange(NUM_DETECTIONS) < 1.5 * NUM_PEOPLE, owners[source], rng.integers(1, NUM_IMAGES + 1, NUM_DETECTIONS))
    scores = np.where(np.arange(NUM_DETECTIONS) < NUM_PEOPLE, rng.beta(4, 2, NUM_DETECTIONS), rng.beta(1, 6, NUM_DETECTIONS))
    base = keypoints[source] + rng.normal(0, 0.05, (NUM_DETECTIONS, 17, 2)) * size[source][:, None, None]
    for name, extra in (("first", 0.0), ("second", 0.01)):
        moved = base + rng.normal(0, 1, base.shape) * extra * size[source][:, None, None]
        rows = np.concatenate([moved, np.broadcast_to(scores[:, None, None], (*base.shape[:2], 1))], axis=2).reshape(NUM_DETECTIONS, 51)
        predictions = [
            {"image_id": int(where[i]), "category_id": 1, "keypoints": rows[i].tolist(), "score": float(scores[i])}
            for i in range(NUM_DETECTIONS)
        ]
        (folder / f"{name}.json").write_text(json.dumps(predictions))


def main() -> None:
    """Prints a table and writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", action="store_true", help="time pycocotools too and compare the numbers")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--files", type=Path, help="folder to keep the drawn files in, or to find them from an earlier run")
    arguments = parser.parse_args()
    folder = arguments.files or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "second.json").is_file():
        write_files(folder)
        print(f"drew {folder}; run again with --files {folder} to measure memory without the drawing")
    row: dict[str, float | bool] = {}
    start = time.process_time()
    ground_truth = read_ground_truth(folder / "truth.json")
    predictions = read_predictions(folder / "first.json", ground_truth)
    row["load_s"] = time.process_time() - start
    start = time.process_time()
    score = score_coco(ground_truth, predictions)
    row["evaluate_s"] = time.process_time() - start
    if arguments.official:
        start = time.process_time()
        row["same_bits"] = score_with_pycocotools(ground_truth, predictions) == score.metrics
        row["pycocotools_evaluate_s"] = time.process_time() - start
    second = score_coco(ground_truth, read_predictions(folder / "second.json", ground_truth))
    start = time.process_time()
    (paired,) = compare_tables(score.matches, second.matches, ["ap"], resamples=arguments.resamples, seed=0)
    row["paired_bootstrap_s"] = time.process_time() - start
    row["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    counts = f"{len(ground_truth.image_ids)} images, {len(ground_truth)} people, {len(predictions)} detections"
    print(f"{counts}; AP {paired.first:.4f} and {paired.second:.4f}")
    for name, value in row.items():
        print(f"{name:>24} {value if isinstance(value, bool) else round(value, 2)}")
    path = Path("reports/benchmarks/coco_scoring.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
