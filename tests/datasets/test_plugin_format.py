"""The format and the protocol of docs/adding.md, found through entry points, read, validated, predicted, scored and reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from poseline.artifacts import Layout, PoseTable, read_poses, write_poses
from poseline.cli import app
from poseline.config import FORMATS, PROTOCOLS, Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.datasets.formats import read_split
from poseline.errors import ConfigError, DataError, FindingsError
from poseline.evaluation.runs import TABLE_SUFFIX
from poseline.evaluation.scoring import score_files
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.stages import predict, preprocess, report, score, validate

pytestmark = pytest.mark.usefixtures("toy_package")
COCO17 = load_skeleton("coco17")
TOY = "{format: toy, annotations: data/toy, val: {annotations: val.csv, images: data/mini/coco/val2017}, results: data/predictions/toy}"
TOY_ONLY = (f"data.sets={{coco: {{format: coco, enabled: false, annotations: data/mini/coco/annotations, val: "
            f"{{annotations: x.json, images: x}}}}, toy: {TOY}}}", "data.skeleton=coco17", "track.sets=[]", "report.images=0")  # fmt: skip


@pytest.fixture
def toy(project: Path, tiny: tuple[str, ...]) -> Params:
    """The parameters of a project whose one enabled data set is a CSV file of the drawn COCO people."""
    drawn = read_split(load_params(project / "params.yaml", (*tiny, "data.skeleton=coco17")).data, "coco", "val").people
    labelled = drawn.select(drawn.rows["num_keypoints"].to_numpy() > 0)
    names = {"image_width": "width", "image_height": "height", "annotation_id": "person_id"}
    rows = labelled.rows.rename(columns=names)[["image_id", "width", "height", "person_id"]]
    rows["image"] = [Path(path).name for path in labelled.rows["image_path"]]
    rows[["x1", "y1", "x2", "y2"]] = labelled.poses.bbox_xyxy
    points = np.where(labelled.poses.visibility[..., None] > 0, labelled.poses.keypoints, np.nan)
    (project / "data/toy").mkdir()
    join_keypoints(rows, points).to_csv(project / "data/toy/val.csv", index=False)
    return load_params(project / "params.yaml", (*tiny, *TOY_ONLY))


def join_keypoints(rows: pd.DataFrame, keypoints: np.ndarray) -> pd.DataFrame:
    columns = [f"{name}_{axis}" for name in COCO17.keypoints for axis in "xy"]
    return pd.concat([rows.reset_index(drop=True), pd.DataFrame(keypoints.reshape(len(rows), -1), columns=columns)], axis=1)


def test_it_goes_through_the_stages_and_its_files_score_the_same(toy: Params, project: Path) -> None:
    layout = Layout(Path())
    assert validate.run(toy, layout, "toy")["errors"] == 0
    preprocess.run(toy, layout)
    torch.manual_seed(0)
    save_model(layout.model, build_model(toy.model, toy.codec, 17), SavedModel(toy.model, toy.codec, "coco17"))
    counts = predict.run(toy, layout, "cpu", "toy")
    assert counts == {"ground_truth": len(pd.read_csv("data/toy/val.csv"))}
    move_near_the_ground_truth(layout)
    found = score.run(toy, layout, "toy")
    made = json.loads(Path("reports/metrics/toy.json").read_text())
    assert made["protocol"]["benchmark"] == "toy"
    assert 0 < made["mean_oks"] == found["mean_oks"]
    assert len(made["ap_interval"]) == 2

    table, _ = read_poses(layout.predictions / "toy/poses.parquet", kind="predictions", made_by="predict")
    write_results(Path("results.csv"), table)
    command = ["score", "--protocol", "toy", "--ground-truth", "data/toy/val.csv", "--predictions", "results.csv", "--out", "out", "--json"]
    run = CliRunner().invoke(app, command, catch_exceptions=False)
    told = json.loads(run.stdout)
    assert {name: told[name] for name in found} == pytest.approx(found, abs=1e-6)
    assert (project / f"out/toy{TABLE_SUFFIX}").is_file()

    report.run(toy, layout)
    page = Path("reports/index.html").read_text()
    assert "mean OKS" in page


def move_near_the_ground_truth(layout: Layout) -> None:
    """An untrained network finds nobody: its poses become the annotated ones, some pixels off, so that there is something to score."""
    path = layout.predictions / "toy/poses.parquet"
    table, header = read_poses(path, kind="predictions", made_by="predict")
    annotated = pd.read_csv("data/toy/val.csv").set_index("person_id").loc[table.rows["annotation_id"]]
    points = annotated[[f"{name}_{axis}" for name in COCO17.keypoints for axis in "xy"]].to_numpy().reshape(-1, 17, 2)
    moved = np.nan_to_num(points) + np.random.default_rng(0).normal(0, 2, points.shape)
    write_poses(path, replace(table, poses=replace(table.poses, keypoints=moved)), header)


def write_results(path: Path, table: PoseTable) -> None:
    rows = table.rows[["image_id"]].assign(score=table.poses.pose_scores)
    join_keypoints(rows, table.poses.keypoints).to_csv(path, index=False)


def test_the_ground_truth_scores_1_and_a_shift_lowers_it(toy: Params, project: Path) -> None:
    truth = pd.read_csv("data/toy/val.csv").assign(score=1.0).fillna(0.0)
    truth.to_csv("same.csv", index=False)
    moved = [name for name in truth.columns if name.endswith("_x")]
    truth.assign(**{name: truth[name] + 4 for name in moved}).to_csv("moved.csv", index=False)
    same, shifted = (score_files("toy", Path("data/toy/val.csv"), Path(name)).score.numbers for name in ("same.csv", "moved.csv"))
    assert same["ap"] == same["mean_oks"] == 1
    assert 0 < shifted["mean_oks"] < 1


def test_what_is_wrong_is_named(toy: Params, project: Path) -> None:
    table = pd.read_csv("data/toy/val.csv")
    table.assign(x1=table["x1"] - 5000, x2=table["x2"] - 5000).to_csv("data/toy/val.csv", index=False)
    with pytest.raises(FindingsError, match="toy val"):
        validate.run(toy, Layout(Path()), "toy")
    table.drop(columns="x1").to_csv("data/toy/val.csv", index=False)
    with pytest.raises(DataError, match=r"val\.csv: lacks the columns \['x1'\]"):
        read_split(toy.data, "toy", "val")
    with pytest.raises(ConfigError, match=r"unknown kind 'toyy'\. Did you mean 'toy'\?"):
        FORMATS.check("toyy")


def test_every_format_has_a_protocol_of_its_name() -> None:
    assert set(FORMATS.names) <= set(PROTOCOLS.names)
