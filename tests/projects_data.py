"""A set of your own in COCO's form, drawn: spots in noise."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

FIVE = ("nose_tip", "left_ear", "right_ear", "tail", "back")


def write_coco(folder: Path, name: str, images: list[str], *, keypoints: tuple[str, ...] = FIVE, image_folder: str = "images") -> None:
    """Images with one animal each, drawn as a bright spot at every keypoint, and their annotations in COCO's form."""
    rng = np.random.default_rng(len(images))
    listed, people = [], []
    for number, file_name in enumerate(images, start=1):
        canvas = rng.integers(0, 40, (120, 160, 3), dtype=np.uint8)
        places = rng.integers((30, 20), (130, 100), (len(keypoints), 2))
        for index, (x, y) in enumerate(places.tolist()):
            cv2.circle(canvas, (x, y), 5, (60 + 40 * index, 255 - 40 * index, 120), -1)
        path = folder / image_folder / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), canvas)
        low, high = places.min(0) - 8, places.max(0) + 8
        numbers = np.concatenate([places, np.full((len(keypoints), 1), 2)], axis=1).reshape(-1).tolist()
        box = [*low.tolist(), *(high - low).tolist()]
        listed.append({"id": number, "file_name": file_name, "width": 160, "height": 120})
        people.append({"id": number, "image_id": number, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
                       "keypoints": numbers, "num_keypoints": len(keypoints)})  # fmt: skip
    category = {"id": 1, "name": "mouse", "keypoints": list(keypoints), "skeleton": [[1, 2], [1, 3], [4, 5]]}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": listed, "annotations": people, "categories": [category]}))
