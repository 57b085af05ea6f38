"""Drawn people for benchmarks/training.py: crops in shards, as the preprocess stage leaves them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.config import Params
from poseline.core.poses import PoseSet
from poseline.crops.shards import stored_crop_wh, write_crops
from poseline.datasets.sets import target_skeleton
from poseline.train.sources import TrainingData

PEOPLE_AN_IMAGE = 16


def draw_people(folder: Path, params: Params, *, people: int, samples: int) -> TrainingData:
    """Training rows of so many samples over so many stored crops: images whose JPEG files are about as large as photographs' are."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    num_keypoints = target_skeleton(params.data).num_keypoints
    count = -(-people // PEOPLE_AN_IMAGE)
    for image in range(count):
        layers = [cv2.resize(rng.integers(0, 256, (480 // size, 640 // size, 3), dtype=np.uint8), (640, 480)) for size in (80, 16, 4)]
        mixed = 0.55 * layers[0] + 0.35 * layers[1] + 0.1 * layers[2]
        cv2.imwrite(str(folder / f"{image}.png"), mixed.astype(np.uint8))
    corner = rng.uniform((20, 20), (300, 160), (people, 2))
    size = rng.uniform((100, 180), (200, 300), (people, 2))
    keypoints = corner[:, None] + rng.uniform(0.1, 0.9, (people, num_keypoints, 2)) * size[:, None]
    poses = PoseSet(keypoints=keypoints, keypoint_scores=np.ones((people, num_keypoints)), bbox_xyxy=np.hstack([corner, corner + size]))
    paths = [str(folder / f"{row // PEOPLE_AN_IMAGE}.png") for row in range(people)]
    table = PoseTable(pd.DataFrame({"image_path": paths}), poses)
    crop_wh = stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess)
    index = write_crops(table, folder, params.preprocess, crop_wh=crop_wh)
    rows = np.arange(samples) % people
    return TrainingData(folder, index.select(rows), index.select(rows[:1]), "drawn")
