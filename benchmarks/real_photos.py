"""AP of a detector and a pose network on labelled photographs, by our scorer, with 95 % intervals from resampled images.

Run: python benchmarks/real_photos.py DATA --model FILE... [--detector FILE] [--flip]
DATA holds images/ and person_keypoints.json in COCO's format. Without a detector the ground-truth boxes are used.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from poseline.core.boxes import xywh_to_xyxy
from poseline.core.poses import PoseSet
from poseline.datasets.coco_scoring import read_ground_truth
from poseline.datasets.images import read_image
from poseline.evaluation.bootstrap import bootstrap_metrics
from poseline.infer.detectors.build import load_detector
from poseline.infer.networks import load_pose_network
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions


def ground_truth_boxes(truth: GroundTruth, image: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(~truth.ignored & (truth.image_index == image))
    return xywh_to_xyxy(truth.bbox_xywh[rows]), np.ones(len(rows), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--detector")
    parser.add_argument("--min-score", type=float, default=0.1)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    annotations = given.data / "person_keypoints.json"
    names = {image["id"]: image["file_name"] for image in json.loads(annotations.read_text())["images"]}
    truth = read_ground_truth(annotations)
    options = {"runtime": given.runtime, "threads": given.threads}
    detector = load_detector(given.detector, min_score=given.min_score, **options) if given.detector else None
    images = [read_image(given.data / "images" / names[int(image)]) for image in truth.image_ids]
    if detector is None:
        boxes = [ground_truth_boxes(truth, index) for index in range(len(images))]
    else:
        started = time.perf_counter()
        boxes = [(found.bbox_xyxy, found.scores) for image in images for found in detector.detect([image])]
        milliseconds = (time.perf_counter() - started) / len(images) * 1e3
        print(f"{Path(given.detector).stem}: {sum(len(b) for b, _ in boxes)} boxes, {milliseconds:.0f} ms an image")
    for model in given.model:
        network = load_pose_network(model, flip=given.flip, **options)
        started = time.perf_counter()
        found: list[PoseSet] = [network.estimate(image, *box) for image, box in zip(images, boxes, strict=True)]
        seconds = time.perf_counter() - started
        ids = np.concatenate([np.full(len(poses), image) for image, poses in zip(truth.image_ids, found, strict=True)])
        poses = PoseSet.concat(found)
        score = score_coco(truth, Predictions.from_arrays(truth, ids, keypoints=poses.keypoints, scores=poses.pose_scores))
        low, high = bootstrap_metrics(score.matches, ["ap"], resamples=1000, seed=1)["ap"]
        print(f"{Path(model).stem}{' flip' if given.flip else ''}: AP {score.metrics['ap']:.4f} [{low:.3f}, {high:.3f}], "
              f"{len(poses)} poses, {seconds / max(len(poses), 1) * 1e3:.1f} ms a pose")  # fmt: skip


if __name__ == "__main__":
    main()
