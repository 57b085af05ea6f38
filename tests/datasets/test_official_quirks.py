"""What the official tools do in ways of their own, kept or fixed on purpose: the table in docs/protocols.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from calling import call
from official_files import FORMS, coco_results, coco_truth, encode
from quirk_files import CASES, draw

from poseline.datasets.coco_scoring import read_ground_truth, read_predictions
from poseline.evaluation.scoring import score_files
from poseline.metrics.keypoint_ap import score_coco

# Made by xtcocotools 1.14.3 and halpecocotools 0.0.1 on the files of quirk_files.py.
OFFICIAL: dict[str, dict[str, float]] = json.loads((Path(__file__).parents[1] / "parity/golden/part_ap.json").read_text())


def score(tmp_path: Path, protocol: str, ground_truth: object, predictions: object) -> dict[str, float | None]:
    paths = [tmp_path / "truth.json", tmp_path / "preds.json"]
    for path, content in zip(paths, (ground_truth, predictions), strict=True):
        path.write_text(json.dumps(content))
    return dict(score_files(protocol, *paths).score.metrics)


@pytest.mark.parametrize("case", CASES)
def test_part_scores_are_the_official_tools(case: str, tmp_path: Path) -> None:
    count, quirks = CASES[case]
    found = score(tmp_path, case.split()[0], *draw(count, **quirks))
    for metric, value in OFFICIAL[case].items():
        assert found[metric] == pytest.approx(value, abs=1e-6), metric


@pytest.mark.parametrize("kind", ["coco-wholebody", "halpe"])
def test_the_quirks_make_a_difference(kind: str) -> None:
    cases = [OFFICIAL[case] for case in CASES if case.startswith(kind)]
    assert all(np.abs(np.subtract(list(cases[0].values()), list(case.values()))).max() > 0.005 for case in cases[1:])


def test_parts_without_scores_of_their_own_rank_by_the_persons(tmp_path: Path) -> None:
    """An entry without a part's score has the person's; all of them written out give the same."""
    ground_truth, predictions = draw(133, part_scores=True)
    filled = [{**dict.fromkeys(("foot_score", "face_score"), entry["score"]), **entry} for entry in predictions]
    found, written = (score(tmp_path, "coco-wholebody", ground_truth, entries) for entries in (predictions, filled))
    assert found == written
    without = [{key: value for key, value in entry.items() if not key.endswith("_score")} for entry in predictions]
    assert score(tmp_path, "coco-wholebody", ground_truth, without)["ap_foot"] != found["ap_foot"]
    assert score(tmp_path, "coco-wholebody", ground_truth, without)["ap_body"] == found["ap_body"]


def test_an_annotation_of_id_0_can_be_found(tmp_path: Path) -> None:
    """pycocotools takes id 0 for "not matched"; a name of 0 is as good as any here, with either engine."""
    ground_truth, predictions = coco_truth("coco17", 17), coco_results(17)
    named = score(tmp_path, "coco", ground_truth, predictions)
    for number, person in enumerate(ground_truth["annotations"]):  # type: ignore[arg-type, var-annotated]
        person["id"] = number
    assert score(tmp_path, "coco", ground_truth, predictions) == named
    people = read_ground_truth(tmp_path / "truth.json")
    poses = read_predictions(tmp_path / "preds.json", people)
    assert score_coco(people, poses, engine="pycocotools").metrics == score_coco(people, poses).metrics


def changed_people(tmp_path: Path, **changes: object) -> list[str]:
    """Arguments that score results against annotations whose people are all changed."""
    content = coco_truth("coco17", 17)
    for person in content["annotations"]:  # type: ignore[attr-defined]
        person |= changes
    FORMS["coco scored"].write(tmp_path, {"truth.json": encode(content)})
    names = ("--ground-truth", "truth.json"), ("--predictions", "preds.json")
    return ["score", "--protocol", "coco", *(part for option, name in names for part in (option, str(tmp_path / name)))]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_keypoints": 0}, "nobody counts in the ground truth: num_keypoints is 0 for 6 of 6 people, though 6 have labelled keypoints"),
        ({"iscrowd": 1}, "nobody counts in the ground truth: 6 of 6 people are crowds"),
        ({"keypoints": [0] * 51, "num_keypoints": 0}, "nobody counts in the ground truth: 6 of 6 people have no labelled keypoint"),
    ],
)
def test_a_metric_without_value_says_why_and_ends_ci(
    changes: dict[str, object], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = changed_people(tmp_path, **changes)
    assert call(monkeypatch, *arguments) == 0
    assert f"no value for ap, ap50, ap75, ap_medium, ap_large, ar, ar50, ar75, ar_medium, ar_large: {reason}" in capsys.readouterr().out
    assert call(monkeypatch, *arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["reasons"]["ap"] == reason
    assert call(monkeypatch, *arguments, "--require-value") == 1
    error = capsys.readouterr().err.strip()
    assert error == f"error: score coco: no value for ap, ap50, ap75, ar: {reason}."


def test_values_that_are_there_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, *changed_people(tmp_path), "--require-value") == 0
    reason = "none of the 6 people who count in the ground truth belongs to 'large'"
    assert f"no value for ap_large, ar_large: {reason}" in capsys.readouterr().out


def test_no_people_at_all(tmp_path: Path) -> None:
    FORMS["coco scored"].write(tmp_path, {"truth.json": encode(coco_truth("coco17", 17) | {"annotations": []})})
    made = score_files("coco", tmp_path / "truth.json", tmp_path / "preds.json").score
    assert made.reasons is not None
    assert set(made.reasons.values()) == {"nobody is annotated in the ground truth"}


def test_what_is_left_out_is_a_warning_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = changed_people(tmp_path)
    extra = [{**entry, "category_id": 2} for entry in coco_results(17)]
    (tmp_path / "preds.json").write_text(json.dumps([*coco_results(17), *extra]))
    assert call(monkeypatch, *arguments) == 0
    told = capsys.readouterr().err.strip()
    assert told == f"warning: {tmp_path}/preds.json: 6 of 12 results are not of category 1 and are left out: category 2 (6)."
