"""A published ONNX network on photographs, through the pipeline's own stages, for each rule of a pose's score.

Needs the folder of real images and weights (POSELINE_REAL, or --real): coco/images, coco/person_keypoints.json and
weights/ultralight_simplepose_256x192.onnx. The parameters are those of params.yaml but for the data set and the network.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "ultralight_simplepose_256x192"
DESCRIPTION = {
    "input_wh": [192, 256],
    "skeleton": "coco17",
    "codec": {"kind": "heatmap", "geometry": "published", "heatmap": {"refine": "quarter"}},
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
RULES = ("mean", "mean_visible")


def make_project(folder: Path, real: Path) -> None:
    """A project whose one data set is the photographs."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    split = {"annotations": "person_keypoints.json", "images": str(real / "coco/images")}
    photographs = {**raw["data"]["sets"]["coco"], "annotations": str(real / "coco"), "train": None, "val": split, "detections": None}
    raw["data"]["sets"] = {"coco": photographs}
    raw["mlflow"]["enabled"] = False
    raw["predict"] |= {"runtime": "onnxruntime", "onnx": f"{NETWORK}.onnx"}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    shutil.copy(real / f"weights/{NETWORK}.onnx", folder)
    (folder / f"{NETWORK}.yaml").write_text(yaml.safe_dump(DESCRIPTION, sort_keys=False), encoding="utf-8")


def run(folder: Path, *words: str) -> None:
    """One command of poseline in the project."""
    subprocess.run([sys.executable, "-m", "poseline.cli", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=Path(os.environ.get("POSELINE_REAL", ROOT.parent / "shared/real")))
    parser.add_argument("--out", type=Path, default=ROOT / "reports/benchmarks/photographs.json")
    given = parser.parse_args()
    found: dict[str, object] = {"command": "python benchmarks/photographs.py --real DIR", "network": NETWORK, "description": DESCRIPTION}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder, given.real.resolve())
        run(folder, "validate")
        run(folder, "preprocess")
        for rule in RULES:
            run(folder, "predict", "coco", "--device", "cpu", "--set", f"predict.score={rule}")
            run(folder, "score", "coco")
            score = json.loads((folder / "reports/metrics/coco.json").read_text(encoding="utf-8"))
            kept = {key: score[key] for key in ("ap", "ap_interval", "ap50", "ap75", "ar")}
            found[rule] = kept | {"images": score["protocol"]["num_images"], "people": score["protocol"]["num_people"]}
            print(f"{rule:<14} AP {100 * score['ap']:.1f} [{', '.join(f'{100 * end:.1f}' for end in score['ap_interval'])}]")
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
