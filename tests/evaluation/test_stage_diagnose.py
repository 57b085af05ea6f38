"""The sections of a metrics file that say what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseline.datasets.score import Score, Stamp, read_score_file
from poseline.evaluation.diagnosis import name_grown_errors


def sections(folder: Path) -> dict:
    return json.loads((folder / "reports/metrics/coco.json").read_text())


def test_a_wrist_swap_is_named(drawn_set, tmp_path: Path) -> None:
    drawn = drawn_set(2, 40)
    runs = [drawn.write_run(tmp_path / "a", drawn.predict(0)), drawn.write_run(tmp_path / "b", drawn.predict(0, swapped=0.3))]
    before, after = (read_score_file(run / "reports/metrics/coco.json") for run in runs)
    grown = name_grown_errors(before, after)
    assert {phrase.split(" ", 2)[0] for phrase in grown} == {"left_wrist", "right_wrist"}
    assert all("inversion" in phrase for phrase in grown)
    assert name_grown_errors(before, before) == []
    assert name_grown_errors(Score(protocol=Stamp(benchmark="coco")), after) == []
    assert after.diagnosis.ap_gain["inversion"] > 0.01
    assert after.diagnosis.ap_gain["inversion"] > after.diagnosis.ap_gain["swap"]


def test_the_counts_add_up_and_the_curves_are_whole(drawn_set, tmp_path: Path) -> None:
    drawn = drawn_set(3, 20)
    made = sections(drawn.write_run(tmp_path / "a", drawn.predict(0, noise=0.03)))
    diagnosis, calibration = made["diagnosis"], made["calibration"]
    kinds = ("good", "jitter", "inversion", "swap", "miss")
    assert all(sum(row[kind] for kind in kinds) == 60 for row in diagnosis["keypoints"].values())
    assert sum(diagnosis["shares"].values()) == pytest.approx(1)
    assert (diagnosis["people_found"], diagnosis["people_missed"], diagnosis["background"]) == (60, 0, 0)
    assert diagnosis["worst"] == sorted(diagnosis["worst"], key=lambda person: person["oks"])
    assert sum(entry["count"] for entry in calibration["keypoint_scores"]["bins"]) == 60 * 17
    assert sum(entry["count"] for entry in calibration["pose_scores"]["bins"]) == 60
    assert 0 <= calibration["pose_scores"]["ece"] <= 1
    assert -1 <= made["score_quality"]["rank_correlation"] <= 1
