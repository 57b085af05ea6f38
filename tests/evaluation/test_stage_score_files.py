"""Official files by every protocol, and what is wrong with them in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from poseline.cli import app
from poseline.config import ScoreConfig
from poseline.datasets.coco_scoring import WHOLEBODY_PARTS
from poseline.errors import DataError
from poseline.evaluation.scoring import score_files, write_file_score

SIZES = {"coco": (17,), "coco-wholebody": (17, 6, 68, 21, 21), "halpe": (136,), "crowdpose": (14,)}
GOLDEN = Path(__file__).parents[1] / "parity/golden"


def draw_coco_form(folder: Path, protocol: str) -> tuple[Path, Path]:
    """Ground truth and predictions of one of the sets in COCO's form."""
    rng = np.random.default_rng(0)
    keys, sizes = WHOLEBODY_PARTS if protocol == "coco-wholebody" else ("keypoints",), SIZES[protocol]
    people, poses = [], []
    for number in range(24):
        size = rng.uniform(60, 250)
        points = rng.uniform(0, 500, 2) + rng.uniform(-0.5, 0.5, (sum(sizes), 2)) * size
        flags = rng.integers(1, 3, (len(points), 1))
        found = points + rng.normal(0, 0.01, points.shape) * size
        common = {"image_id": number // 3 + 1, "category_id": 1}
        box = [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]
        area = {} if protocol == "crowdpose" else {"area": size**2 / 2}
        ends = np.cumsum(sizes)[:-1]
        true_parts = np.split(np.concatenate([points, flags], axis=1), ends)
        found_parts = np.split(np.concatenate([found, rng.uniform(0.1, 1, flags.shape)], axis=1), ends)
        people.append(
            {"id": number + 1, "bbox": box, "iscrowd": 0, "num_keypoints": len(points), **common, **area}
            | {key: part.ravel().tolist() for key, part in zip(keys, true_parts, strict=True)}
        )
        poses.append({"score": rng.random(), **common} | {key: part.ravel().tolist() for key, part in zip(keys, found_parts, strict=True)})
    index = {"crowdIndex": 0.1} if protocol == "crowdpose" else {}
    images = [{"id": number + 1, **index} for number in range(8)]
    ground_truth = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    return write(folder / "truth.json", ground_truth), write(folder / "results.json", poses)


def score_json(protocol: str, ground_truth: Path, predictions: Path, *, resamples: int = 0, mode: str = "poseval") -> dict:
    """The score as its JSON file has it."""
    options = ScoreConfig(engine="poseline", bootstrap=resamples, posetrack_mode=mode)
    return json.loads(json.dumps(score_files(protocol, ground_truth, predictions, options).score.to_json(), allow_nan=False))


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("protocol", "keys"),
    [
        ("coco", ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")),
        ("coco-wholebody", ("ap", "ap50", "ap75", "ar", "ap_body", "ap_foot", "ap_face", "ap_lefthand", "ap_righthand", "ap_hand")),
        ("halpe", ("ap", "ap50", "ar", "ap_body", "ap_foot", "ap_face", "ap_hand")),
        ("crowdpose", ("ap", "ap50", "ap75", "ar", "ap_easy")),
    ],
)
def test_coco_forms_with_confidence(tmp_path: Path, protocol, keys: tuple[str, ...]) -> None:
    ground_truth, predictions = draw_coco_form(tmp_path, protocol)
    metrics = score_json(protocol, ground_truth, predictions, resamples=20)
    for key in keys:
        assert 0 <= metrics[key] <= 1
        low, high = metrics[f"{key}_interval"]
        assert low <= high
    assert metrics["protocol"]["benchmark"] == protocol
    assert (metrics["protocol"]["num_images"], metrics["protocol"]["num_people"]) == (8, 24)
    assert len(metrics["protocol"]["data_hash"]) == 16


def test_mpii_multi_and_mot(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 300, (12, 16, 2))
    ones = np.ones((12, 16, 1))
    ground_truth = [
        {"group": i // 3, "head_box": [0, 0, 30, 40], "keypoints": row.tolist()} for i, row in enumerate(np.dstack([points, ones]))
    ]
    moved = np.dstack([points + rng.normal(0, 5, points.shape), ones])
    poses = [{"group": i // 3, "keypoints": row.tolist()} for i, row in enumerate(moved)]
    metrics = score_json("mpii-multi", write(tmp_path / "t.json", ground_truth), write(tmp_path / "p.json", poses), resamples=20)
    assert 0.5 < metrics["map"] <= 1
    assert {"map_interval", "map_wrist", "map_wrist_interval", "joints"} <= set(metrics)
    for side, shift in (("truth", 0), ("found", 4)):
        (tmp_path / side).mkdir()
        rows = [f"{frame},{person},{50 * person + shift},20,40,80,1,1,-1" for frame in range(1, 6) for person in (1, 2)]
        write(tmp_path / side / "v.txt", "\n".join(rows))
    metrics = score_json("mot", tmp_path / "truth", tmp_path / "found", resamples=20)
    assert (metrics["mota"], metrics["idf1"]) == (1.0, 1.0)
    assert 0.5 < metrics["hota"] < 1
    assert metrics["hota_interval"] == [metrics["hota"], metrics["hota"]]  # one video has no spread


def test_posetrack_tables_and_modes(tmp_path: Path) -> None:
    shutil.unpack_archive(GOLDEN / "poseval.tar.gz", tmp_path)
    folder = next(path.parent for path in tmp_path.rglob("gt") if path.is_dir())
    metrics = score_json("posetrack", folder / "gt", folder / "pred", resamples=20)
    for key in ("map", "mota", "motp", "precision", "recall", "hota", "idf1"):
        assert 0 <= metrics[key] <= 1
        assert f"{key}_interval" in metrics
    assert metrics["tracked"]["parts"]["Total"]["mota"] == metrics["mota"]
    assert "left_wrist" in metrics["tracked"]["joints"]
    strict = score_json("posetrack", folder / "gt", folder / "pred", mode="strict")
    assert strict["protocol"]["mode"] == "strict"
    assert strict["mota"] != metrics["mota"]


def test_two_trackers_results_are_compared_video_by_video(tmp_path: Path) -> None:
    """The golden predictions against themselves without every second frame's people."""
    shutil.unpack_archive(GOLDEN / "poseval.tar.gz", tmp_path)
    folder = next(path.parent for path in tmp_path.rglob("gt") if path.is_dir())
    for path in [*(folder / "gt").glob("*.json"), *(folder / "pred").glob("*.json")]:
        for copy in range(3):  # two videos would be too few to tell
            shutil.copy(path, path.with_name(f"{path.stem}_{copy}.json"))
        path.unlink()
    shutil.copytree(folder / "pred", tmp_path / "poorer")
    for path in (tmp_path / "poorer").glob("*.json"):
        content = json.loads(path.read_text())
        content["annotations"] = [person for person in content["annotations"] if person["image_id"] % 2]
        path.write_text(json.dumps(content))
    for name, found in (("whole", folder / "pred"), ("poorer", tmp_path / "poorer")):
        write_file_score(tmp_path / name, "posetrack", score_files("posetrack", folder / "gt", found))
    told = CliRunner().invoke(app, ["compare", str(tmp_path / "whole"), str(tmp_path / "poorer"), "--resamples", "100"])
    assert told.exit_code == 0, told.output
    assert re.search(r"^mota .* worse *$", told.stdout, re.MULTILINE)
    assert "6 videos, paired bootstrap" in told.stdout


def change(index: int, **values: object) -> Callable[[list[dict]], object]:
    def apply(entries: list[dict]) -> object:
        entries[index].update(values)
        return entries

    return apply


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("results", change(3, image_id=999), "entry 3: image_id 999 is not in the ground truth"),
        ("results", change(3, keypoints=[1.0] * 48), "entry 3: 'keypoints' has 48 numbers, expected 51"),
        ("results", change(3, score=float("nan")), "entry 3: expected a finite number 'score', got nan"),
        ("results", change(3, score=float("inf")), "entry 3: expected a finite number 'score', got inf"),
        ("results", change(3, keypoints=[float("nan")] * 51), "entry 3: 'keypoints' holds NaN"),
        ("results", lambda entries: [{**e, "keypoints": e["keypoints"][:42]} for e in entries], "14 keypoints, the ground truth has 17"),
        ("results", lambda entries: [], "got an empty list"),
        ("results", lambda entries: "", "got an empty file"),
        ("results", lambda entries: json.dumps(entries)[:300], "seems cut short"),
        ("results", lambda entries: {}, "expected a list, got an object"),
        ("truth", lambda t: {**t, "annotations": t["annotations"] + t["annotations"][:1]}, "annotation id 1 is given 2 times"),
        ("truth", lambda entries: {**entries, "images": entries["images"] * 2}, "image id 1 is given 2 times"),
        ("truth", lambda entries: {**entries, "images": entries["images"][1:]}, "image_id 1 is not listed under 'images'"),
        ("truth", lambda entries: {**entries, "images": []}, "expected at least one image"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, file: str, edit: Callable, message: str) -> None:
    ground_truth, predictions = draw_coco_form(tmp_path, "coco")
    path = ground_truth if file == "truth" else predictions
    write(path, edit(json.loads(path.read_text())))
    with pytest.raises(DataError) as caught:
        score_files("coco", ground_truth, predictions)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["coco", "coco-wholebody", "halpe", "crowdpose", "mpii", "mpii-multi", "posetrack", "mot"])
def test_a_folder_for_a_file_a_file_of_another_form_and_nothing(tmp_path: Path, protocol) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    other = write(tmp_path / "other.json", '{"a": 1}')
    for path in (folder, other, tmp_path / "none"):
        with pytest.raises(DataError) as caught:
            score_files(protocol, path, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_command_prints_percent_or_json_and_keeps_the_score(tmp_path: Path) -> None:
    ground_truth, predictions = draw_coco_form(tmp_path, "coco")
    words = ["score", "--protocol", "coco", "--truth", str(ground_truth), "--predictions", str(predictions)]
    table = CliRunner().invoke(app, words)
    made = CliRunner().invoke(app, [*words, "--json", "--out", str(tmp_path / "kept")])
    metrics = json.loads(made.stdout)
    assert f"{100 * metrics['ap']:.2f}" in table.stdout
    assert "left_wrist" in table.stdout
    assert json.loads((tmp_path / "kept/coco.json").read_text()) == metrics
    assert (tmp_path / "kept/coco_matches.parquet").is_file()


def test_scores_that_are_kept_can_be_compared(tmp_path: Path) -> None:
    from poseline.evaluation.runs import find_scores, read_score

    for protocol in ("crowdpose", "halpe"):
        ground_truth, predictions = draw_coco_form(tmp_path, protocol)
        write_file_score(tmp_path / "kept", protocol, score_files(protocol, ground_truth, predictions))
        read = read_score(find_scores(tmp_path / "kept")[protocol], "kept")
        assert read.table is not None
        assert read.score.metrics["ap"] == pytest.approx(score_json(protocol, ground_truth, predictions)["ap"])


@pytest.mark.real
def test_tompsons_mpii_predictions(real_data: Path) -> None:
    path = real_data / "mpii/valid_groundtruth_and_tompson.mat"
    metrics = score_json("mpii", path, path, resamples=100)
    assert round(100 * metrics["pckh"], 2) == 82.34
    low, high = metrics["pckh_interval"]
    assert low < metrics["pckh"] < high
