"""The pipeline's scores and those of official result files written from the same poses: one JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseline.artifacts import Layout, PoseTable, TableHeader, read_poses, write_json, write_poses
from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.datasets.formats import set_skeleton
from poseline.datasets.scored_sets import list_scores
from poseline.datasets.sets import split_files
from poseline.evaluation.compare import compare_runs
from poseline.evaluation.runs import find_scores
from poseline.evaluation.scoring import score_files, write_file_score
from poseline.stages import gate, score

ABOUT = {
    "enabled": True, "flip": True, "input_wh": [32, 64], "codec": "udp", "nms": "parametric", "nms_mode": "fixed", "score": "mean",
    "boxes": "detections", "tracker": "bytepose",
}  # fmt: skip


def draw_predictions(params: Params, layout: Layout, name: str) -> PoseTable:
    """The val people of a set, each keypoint some pixels off, once in their own boxes and once as if detected."""
    people, header = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    people = people.where(dataset=name, split="val")
    people = people.select(~people.rows["is_crowd"] & (people.rows["num_keypoints"] > 0))
    skeleton = set_skeleton(params.data.sets[name], name=name)
    poses, parts = people.poses.convert(load_skeleton(header.skeleton), skeleton), []
    for seed, boxes in enumerate(("ground_truth", "detections")):
        rng = np.random.default_rng(seed)
        moved = poses.keypoints + rng.normal(0, 2, poses.keypoints.shape)
        scores = rng.uniform(0.1, 1, poses.keypoint_scores.shape)
        seen = np.full(scores.shape, 2)
        found = replace(poses, keypoints=moved, keypoint_scores=scores, pose_scores=scores.mean(axis=1), visibility=seen)
        parts.append(PoseTable(people.rows.assign(boxes=boxes), found))
    return PoseTable.concat(parts)


@pytest.fixture
def predicted(project: Path, tiny: tuple[str, ...]) -> tuple[Params, Layout, dict[str, PoseTable]]:
    """Predictions and tracks of every set, where the pipeline leaves them."""
    params, layout = load_params(project / "params.yaml", [*tiny, "score.bootstrap=50"]), Layout(Path())
    tables = {}
    for name, entry in list_scores(params.data).items():
        if entry.detected:
            continue
        tables[name] = draw_predictions(params, layout, name)
        if entry.protocol.tracked:
            ground_truth = entry.protocol.read_ground_truth(split_files(params.data.sets[name], "val", name=name)[1])
            for part in ("tracked", "poses"):
                entry.protocol.write_predictions(layout.tracks / name / part, tables[name].where(boxes="detections"), ground_truth)
            write_json(layout.tracks / name / "about.json", ABOUT)
        skeleton = set_skeleton(params.data.sets[name], name=name).name
        write_poses(layout.predictions / name / "poses.parquet", tables[name], TableHeader("predictions", skeleton))
        write_json(layout.predictions / name / "about.json", ABOUT)
        score.run(params, layout, name)
    return params, layout, tables


def score_officially(params: Params, layout: Layout, tables: dict[str, PoseTable], folder: Path) -> dict[str, dict]:
    """The scores of official result files of the same predictions; also left in ``folder``."""
    made = {}
    for name, entry in list_scores(params.data).items():
        protocol, dataset = entry.protocol, entry.dataset
        path = split_files(params.data.sets[dataset], "val", name=dataset)[1]
        results = layout.tracks / dataset if protocol.tracked else folder / f"{name}_results.json"
        if not protocol.tracked:
            boxes = "detections" if entry.detected else "ground_truth"
            protocol.write_predictions(results, tables[dataset].where(boxes=boxes), protocol.read_ground_truth(path))
        files = score_files(protocol.name, path, results, params.score, seed=params.seed)
        write_file_score(folder / "official", name, files)
        made[name] = json.loads((folder / "official" / f"{name}.json").read_text())
    return made


def test_the_same_predictions_both_ways_give_the_same_score(predicted, tmp_path: Path) -> None:
    params, layout, tables = predicted
    for name, made in score_officially(params, layout, tables, tmp_path).items():
        own = json.loads((layout.metrics / f"{name}.json").read_text())
        stamps = made.pop("protocol"), own.pop("protocol")
        assert made == own, name
        assert len([key for key in own if key.endswith("_interval")]) >= 7
        assert {key: value for key, value in stamps[0].items() if value is not None}.items() <= stamps[1].items()


def test_compare_and_gate_take_either(predicted, tmp_path: Path) -> None:
    params, layout, tables = predicted
    score_officially(params, layout, tables, tmp_path)
    found = compare_runs(find_scores(Path("reports")), find_scores(tmp_path / "official"), resamples=20)
    assert {comparison.score for comparison in found} == set(list_scores(params.data))
    for comparison in found:
        assert comparison.unlike == ()
        assert any(note.startswith("flip: True against not stated") for note in comparison.unstated)
        assert all(verdict.result.difference == 0 for verdict in comparison.verdicts)
    limits = load_params(Path("params.yaml"), ["gate.max_drop={ap: 0.01, pckh: 0.01, coco_detections.ap: 0.01}", "gate.resamples=100"])
    assert gate.run(limits, layout, against=str(tmp_path / "official")).passed
