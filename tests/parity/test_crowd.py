"""CrowdPose and COCO-WholeBody scores against figures that the official evaluation (xtcocotools 1.14.3) printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseline.datasets.coco_scoring import WHOLEBODY_PARTS, read_ground_truth, read_predictions
from poseline.metrics.crowd_ap import score_crowdpose
from poseline.metrics.part_ap import score_wholebody

GOLDEN = Path(__file__).parent / "golden"


def unpack(name: str, folder: Path) -> dict[str, list[float]]:
    content = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    for part in ("truth", "results"):
        (folder / f"{part}.json").write_text(json.dumps(content[part]), encoding="utf-8")
    return content["expected"]


def test_crowdpose(tmp_path):
    expected = unpack("crowdpose_scores", tmp_path)["stats"]
    ground_truth = read_ground_truth(tmp_path / "truth.json", area_from_box=True)
    metrics = list(score_crowdpose(ground_truth, read_predictions(tmp_path / "results.json", ground_truth)).metrics.values())
    assert metrics[:6] == pytest.approx(expected[:6], abs=1e-12)
    # The official tool rounds easy, medium and hard.
    assert [round(value, 4) for value in metrics[6:]] == expected[6:]


def test_wholebody(tmp_path):
    expected = unpack("wholebody_scores", tmp_path)
    ground_truth = read_ground_truth(tmp_path / "truth.json", parts=WHOLEBODY_PARTS)
    scores = score_wholebody(ground_truth, read_predictions(tmp_path / "results.json", ground_truth, parts=WHOLEBODY_PARTS))
    for part, stats in expected.items():
        metrics = [-1 if value is None else value for value in scores[part].metrics.values()]
        assert metrics == pytest.approx(stats, abs=1e-12), part
