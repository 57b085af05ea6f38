"""A drawn COCO-form set and scored runs of it, in the places where the pipeline leaves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# A standing figure in shares of its height, in COCO's order.
FIGURE = np.array(
    [[0, 0], [0.02, -0.02], [-0.02, -0.02], [0.05, 0], [-0.05, 0], [0.12, 0.15], [-0.12, 0.15], [0.2, 0.3], [-0.2, 0.3],
     [0.25, 0.45], [-0.25, 0.45], [0.08, 0.5], [-0.08, 0.5], [0.09, 0.72], [-0.09, 0.72], [0.1, 0.95], [-0.1, 0.95]]
)  # fmt: skip
WRISTS = [9, 10]


class DrawnSet:
    """People in images, and predictions of them."""

    def __init__(self, seed: int, num_images: int) -> None:
        rng = np.random.default_rng(seed)
        self.image_ids = np.repeat(np.arange(1, num_images + 1), 3)
        self.height = rng.uniform(80, 250, len(self.image_ids))
        corner = np.stack([np.tile([100, 400, 700], num_images), np.full(len(self.image_ids), 100)], axis=1)
        self.keypoints = corner[:, None] + FIGURE * self.height[:, None, None]
        self.scores = rng.uniform(0.2, 1, len(self.image_ids))

    def predict(self, seed: int, *, noise: float = 0.012, swapped: float = 0.0) -> np.ndarray:
        """Positions off by ``noise`` heights, with the wrists of a share of the people exchanged."""
        rng = np.random.default_rng(seed)
        found = self.keypoints + rng.normal(0, noise, self.keypoints.shape) * self.height[:, None, None]
        chosen = np.flatnonzero(rng.random(len(found)) < swapped)
        found[chosen[:, None], WRISTS] = found[chosen[:, None], WRISTS[::-1]]
        return found

    def write_truth(self, path: Path) -> Path:
        """The annotation file."""
        people = []
        for i, (points, height) in enumerate(zip(self.keypoints, self.height, strict=True)):
            box = [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]
            triples = np.concatenate([points, np.full((17, 1), 2)], axis=1).ravel().tolist()
            people.append(
                {"id": i + 1, "image_id": int(self.image_ids[i]), "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
                 "keypoints": triples, "bbox": box, "area": float(height**2 / 3)}
            )  # fmt: skip
        images = [{"id": int(image)} for image in np.unique(self.image_ids)]
        path.write_text(json.dumps({"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}))
        return path

    def write_results(self, path: Path, found: np.ndarray) -> Path:
        """The result file."""
        rows = [
            {"image_id": int(self.image_ids[i]), "category_id": 1, "score": float(self.scores[i]),
             "keypoints": np.concatenate([points, np.ones((17, 1))], axis=1).ravel().tolist()}
            for i, points in enumerate(found)
        ]  # fmt: skip
        path.write_text(json.dumps(rows))
        return path

    def write_run(self, root: Path, found: np.ndarray) -> Path:
        """The predictions scored, as the pipeline leaves a score under ``root``."""
        from poseline.artifacts import TableHeader, write_json, write_table
        from poseline.evaluation.scoring import score_files

        root.mkdir(parents=True, exist_ok=True)
        ground_truth, predictions = self.write_truth(root / "truth.json"), self.write_results(root / "results.json", found)
        files = score_files("coco", ground_truth, predictions)
        write_json(root / "reports/metrics/coco.json", files.score.to_json())
        write_table(root / "reports/per_person/coco/matches.parquet", files.matches, TableHeader("matches"))
        return root


@pytest.fixture(scope="session")
def drawn_set() -> Callable[[int, int], DrawnSet]:
    """``drawn_set(seed, num_images)``: three people an image."""
    return DrawnSet


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with params.yaml alone, made the working directory; no experiment store."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", folder)
    text = (folder / "params.yaml").read_text().replace("mlflow:\n  enabled: true", "mlflow:\n  enabled: false")
    (folder / "params.yaml").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder
