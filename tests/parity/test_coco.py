"""COCO keypoint AP and AR against pycocotools: the same bits."""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poseline.datasets.coco_scoring import read_ground_truth, read_predictions
from poseline.metrics.keypoint_ap import score_coco, score_with_pycocotools
from poseline.metrics.keypoint_types import GroundTruth, Predictions

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("POSELINE_REAL", ROOT.parent / "shared" / "real"))
draw_set = runpy.run_path(str(ROOT / "tests/drawn_keypoints.py"))["_draw_set"]


def official_numbers(truth_path: Path, results_path: Path) -> list[float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(str(truth_path))
        evaluation = COCOeval(ground_truth, ground_truth.loadRes(str(results_path)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_drawn_sets(seed, ties):
    ground_truth, predictions = draw_set(
        seed, images=[1, 3, 30][seed % 3], people=[2, 6, 14][seed // 3 % 3], ties=ties, crowds=seed % 4 > 0
    )
    score = score_coco(ground_truth, predictions)
    assert score.metrics == score_with_pycocotools(ground_truth, predictions)
    whole = np.ones((1, len(ground_truth.image_ids)), dtype=int)
    resampled = {name: values[0] for name, values in score.matches.rate(whole, list(score.metrics)).items()}
    assert resampled == pytest.approx({name: np.nan if v is None else v for name, v in score.metrics.items()}, abs=0, nan_ok=True)


def test_no_detection_and_no_person():
    ground_truth, _ = draw_set(1)
    nothing = Predictions.from_arrays(ground_truth, np.zeros(0, int), keypoints=np.zeros((0, 17, 2)), scores=np.zeros(0))
    assert score_coco(ground_truth, nothing).metrics == score_with_pycocotools(ground_truth, nothing)
    assert score_coco(ground_truth, nothing).metrics["ap"] == 0.0
    nobody, stray = draw_set(1, people=1)
    assert len(nobody) == 0
    assert set(score_coco(nobody, stray).metrics.values()) == {None}
    assert score_coco(nobody, stray).metrics == score_with_pycocotools(nobody, stray)


@pytest.mark.parametrize("max_detections", [1, 5, 20])
def test_more_detections_than_count(max_detections):
    ground_truth, predictions = draw_set(7, images=8, people=30, detections=3.0)
    assert score_coco(ground_truth, predictions, max_detections=max_detections).metrics == score_with_pycocotools(
        ground_truth, predictions, max_detections=max_detections
    )


def test_other_sigmas():
    ground_truth, predictions = draw_set(2)
    sigmas = np.linspace(0.02, 0.2, 17)
    assert score_coco(ground_truth, predictions, sigmas=sigmas).metrics == score_with_pycocotools(ground_truth, predictions, sigmas=sigmas)
    assert score_coco(ground_truth, predictions, engine="pycocotools").metrics == score_coco(ground_truth, predictions).metrics


def test_equal_people_are_taken_last_first():
    one = np.arange(34.0).reshape(1, 17, 2)
    ground_truth = GroundTruth.from_arrays(
        [1], [1, 1], keypoints=np.concatenate([one, one]), visibility=np.full((2, 17), 2), area=np.full(2, 5000.0),
        bbox_xywh=np.tile([0.0, 0, 40, 40], (2, 1)),
    )  # fmt: skip
    predictions = Predictions.from_arrays(ground_truth, [1], keypoints=one, scores=[0.5])
    score = score_coco(ground_truth, predictions)
    assert score.matches.ground_truth_index[0, 0].tolist() == [1] * 10
    assert score.metrics == score_with_pycocotools(ground_truth, predictions)


def write_results(ground_truth: GroundTruth, path: Path, *, with_boxes: bool) -> None:
    """Noisy copies of the labelled people, twice each."""
    rng = np.random.default_rng(0)
    rows = []
    for index in np.repeat(np.flatnonzero(ground_truth.num_keypoints > 0), 2):
        noise = rng.normal(0, rng.choice([0.01, 0.05]) * np.sqrt(ground_truth.area[index]), (17, 2))
        points = np.concatenate([ground_truth.keypoints[index] + noise, np.ones((17, 1))], axis=1)
        row = {
            "image_id": int(ground_truth.image_ids[ground_truth.image_index[index]]),
            "category_id": 1,
            "score": round(float(rng.random()), 2),
        }
        box = {"bbox": ground_truth.bbox_xywh[index].tolist()} if with_boxes else {}
        rows.append(row | box | {"keypoints": points.reshape(-1).tolist()})
    path.write_text(json.dumps(rows), encoding="utf-8")


def test_confidences_for_visibilities(tmp_path):
    """Halpe's files: a keypoint of confidence 0.2 is labelled, one of 0 is not."""
    drawn, _ = draw_set(3, images=10)
    rng = np.random.default_rng(0)
    people = []
    for index in range(len(drawn)):
        confidence = rng.choice([0.0, 0.2, 0.7, 1.0, 2.0], 17)
        points = np.concatenate([drawn.keypoints[index], confidence[:, None]], axis=1)
        person = {"id": index + 1, "image_id": int(drawn.image_ids[drawn.image_index[index]]), "category_id": 1, "iscrowd": 0}
        person |= {"keypoints": points.reshape(-1).tolist(), "num_keypoints": int((confidence > 0).sum())}
        people.append(person | {"area": float(drawn.area[index]), "bbox": drawn.bbox_xywh[index].tolist()})
    images = [{"id": int(image)} for image in drawn.image_ids]
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    ground_truth = read_ground_truth(tmp_path / "truth.json")
    write_results(ground_truth, tmp_path / "results.json", with_boxes=True)
    score = score_coco(ground_truth, read_predictions(tmp_path / "results.json", ground_truth))
    assert list(score.metrics.values()) == official_numbers(tmp_path / "truth.json", tmp_path / "results.json")


@pytest.mark.real
@pytest.mark.parametrize("with_boxes", [False, True])
@pytest.mark.parametrize("name", ["coco/person_keypoints.json", "formats/coco/test_coco.json"])
def test_real_pictures(name, with_boxes, tmp_path):
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"no real data at {path}")
    ground_truth = read_ground_truth(path)
    write_results(ground_truth, tmp_path / "results.json", with_boxes=with_boxes)
    score = score_coco(ground_truth, read_predictions(tmp_path / "results.json", ground_truth))
    assert list(score.metrics.values()) == official_numbers(path, tmp_path / "results.json")
