"""Time and memory of validating and preprocessing a set of COCO's size; writes reports/benchmarks/dataset_size.json.

Draws, once, JPEG files of 640x480 (each its own bytes) and an annotation file of people with random poses, then runs the two commands
in a project of its own. COCO train2017 has 118,287 images and 262,465 people; preprocessing is timed on fewer images, as images/s.

Run: python benchmarks/dataset_size.py --folder DIR [--images 118287] [--people 262465] [--preprocess 2000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import yaml

from poseline.core.skeletons import load_skeleton

REPOSITORY = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 640, 480


def draw_set(folder: Path, num_images: int, num_people: int) -> None:
    """Images and annotations of one split, unless they lie there from an earlier run."""
    if (folder / "annotations/train.json").is_file():
        return
    rng = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True)
    noise = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    encoded = cv2.imencode(".jpg", cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    for number in range(num_images):
        comment = f"{number:012d}".encode()
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (images / f"{number:012d}.jpg").write_bytes(encoded[:2] + marker + encoded[2:])
    owners = np.sort(rng.integers(0, num_images, num_people))
    size = rng.uniform(30, 200, num_people)
    corner = rng.uniform(0, 1, (num_people, 2)) * (np.array([WIDTH, HEIGHT]) - size[:, None])
    points = corner[:, None] + rng.uniform(0, 1, (num_people, 17, 2)) * size[:, None, None]
    flags = rng.choice(3, (num_people, 17), p=[0.4, 0.1, 0.5])
    triples = np.concatenate([np.where(flags[..., None] > 0, points, 0).round(1), flags[..., None]], axis=2).reshape(num_people, 51)
    people = [
        {"id": i + 1, "image_id": int(owners[i]), "category_id": 1, "iscrowd": 0, "area": float(size[i] ** 2 / 2),
         "bbox": [*corner[i].round(1).tolist(), float(size[i].round(1)), float(size[i].round(1))],
         "num_keypoints": int((flags[i] > 0).sum()), "keypoints": triples[i].tolist()}
        for i in range(num_people)
    ]  # fmt: skip
    listed = [{"id": i, "file_name": f"{i:012d}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(num_images)]
    category = {"id": 1, "name": "person", "keypoints": list(load_skeleton("coco17").keypoints)}
    (folder / "annotations").mkdir()
    content = {"images": listed, "annotations": people, "categories": [category]}
    (folder / "annotations/train.json").write_text(json.dumps(content))


def write_params(folder: Path) -> None:
    """The project's parameters with this one set."""
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    files = {"annotations": "train.json", "images": "images"}
    raw["data"]["sets"] = {"big": {"format": "coco", "annotations": "annotations", "train": files, "val": None}}
    raw["mlflow"]["enabled"] = False
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def measure(folder: Path, *command: str) -> dict[str, float]:
    """Seconds and peak memory of a command in a folder."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "poseline.cli", *command], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return {"seconds": time.perf_counter() - started, "peak_gb": usage.ru_maxrss / 2**20}


def main() -> None:
    """Draw, run, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--people", type=int, default=262_465)
    parser.add_argument("--preprocess", type=int, default=2000)
    given = parser.parse_args()
    whole, part = given.folder / "whole", given.folder / "part"
    for folder, images in ((whole, given.images), (part, given.preprocess)):
        draw_set(folder, images, given.people * images // given.images)
        write_params(folder)
    validated = measure(whole, "validate", "big")
    measure(part, "validate", "big")
    cut = measure(part, "preprocess")
    result = {
        "images": given.images, "people": given.people, "validate_s": validated["seconds"], "validate_peak_gb": validated["peak_gb"],
        "preprocess_images_per_s": given.preprocess / cut["seconds"], "preprocess_peak_gb": cut["peak_gb"],
    }  # fmt: skip
    for name, value in result.items():
        print(f"{name:<26} {value:,.2f}" if isinstance(value, float) else f"{name:<26} {value:,}")
    (REPOSITORY / "reports/benchmarks/dataset_size.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
