"""The stages one after another on drawn data, called as functions."""

from __future__ import annotations

import json
from pathlib import Path

from poseline.artifacts import Layout, read_poses
from poseline.config import load_params
from poseline.evaluation.gate import accept
from poseline.stages import gate


def test_every_score_has_its_numbers_and_protocol(finished: Path) -> None:
    wanted = {
        "coco": ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75"),
        "coco_detections": ("ap", "ar"),
        "mpii": ("pckh", "pckh_01", "auc"),
        "posetrack": ("map", "mota", "motp", "precision", "recall"),
    }
    for name, keys in wanted.items():
        metrics = json.loads((finished / f"reports/metrics/{name}.json").read_text())
        for key in keys:
            assert key in metrics, (name, key)
        assert metrics["protocol"]["benchmark"] == name.split("_")[0]
        assert metrics["protocol"]["input_wh"] == [32, 64]
    boxes = {name: json.loads((finished / f"reports/metrics/{name}.json").read_text())["protocol"]["boxes"] for name in wanted}
    assert boxes == {"coco": "ground_truth", "coco_detections": "detections", "mpii": "ground_truth", "posetrack": "detections"}
    box_ap = json.loads((finished / "reports/metrics/coco_detections.json").read_text())["protocol"]["box_ap"]
    assert 0.2 < box_ap < 1


def test_predictions_are_complete_and_in_the_benchmarks_skeleton(finished: Path) -> None:
    people, _ = read_poses(finished / "data/processed/people.parquet", kind="people", made_by="preprocess")
    for benchmark, skeleton in (("coco", "coco17"), ("mpii", "mpii16"), ("posetrack", "posetrack17")):
        poses, header = read_poses(finished / f"data/predictions/{benchmark}/poses.parquet", kind="predictions", made_by="predict")
        assert header.skeleton == skeleton
        own = people.where(dataset=benchmark, split="val", is_crowd=False).rows
        known = poses.where(boxes="ground_truth").rows
        assert sorted(known["annotation_id"]) == sorted(own[own["num_keypoints"] > 0]["annotation_id"])


def test_the_gate_accepts_itself_and_refuses_without_a_baseline(finished: Path, tiny: tuple[str, ...]) -> None:
    params, layout = load_params(finished / "params.yaml", tiny), Layout(Path())
    refused = gate.run(params, layout)
    assert not refused.passed
    assert "gate --accept" in refused.reason
    accept(params, layout)
    assert gate.run(params, layout).passed


def test_the_gate_refuses_another_protocol_a_missing_score_and_a_forged_one(finished: Path, tiny: tuple[str, ...]) -> None:
    params, layout = load_params(finished / "params.yaml", tiny), Layout(Path())
    accept(params, layout)
    path = finished / "reports/metrics/coco.json"
    original = json.loads(path.read_text())
    path.write_text(json.dumps({**original, "protocol": {**original["protocol"], "flip": False}}))
    assert "another protocol" in gate.run(params, layout).reason
    path.write_text(json.dumps({**original, "ap": 0.99}))
    assert not gate.run(params, layout).passed
    path.unlink()
    refused = gate.run(params, layout)
    assert not refused.passed
    assert "no such file" in refused.reason
