"""Expected-OKS rescoring: fitted to training people, applied by predict, refused for other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseline.artifacts import Layout, read_json, read_table
from poseline.config import load_params
from poseline.errors import ArtifactError, ConfigError
from poseline.evaluation import rescoring as calibrate
from poseline.experiments import StageRun
from poseline.stages import predict, train


def test_fit_apply_and_refuse(project: Path, tiny: tuple[str, ...]) -> None:
    layout = Layout(Path())
    plain = load_params(project / "params.yaml", tiny)
    asked = load_params(project / "params.yaml", [*tiny, "predict.rescoring=expected_oks"])
    train.run(plain, layout, "cpu", StageRun())
    predict.run(plain, layout, "cpu", "coco")
    before, _ = read_table(layout.predictions / "coco/poses.parquet", kind="predictions", made_by="predict")
    with pytest.raises(ArtifactError, match="Run `poseline calibrate`"):
        predict.run(asked, layout, "cpu", "coco")
    measured = calibrate.run(plain, layout, "cpu", fraction=1.0)
    assert {"train_before", "train_after", "val_ground_truth_before", "val_ground_truth_after"} <= set(measured)
    predict.run(asked, layout, "cpu", "coco")
    after, _ = read_table(layout.predictions / "coco/poses.parquet", kind="predictions", made_by="predict")
    assert after.drop(columns="pose_score").astype(str).equals(before.drop(columns="pose_score").astype(str))
    assert not after["pose_score"].equals(before["pose_score"])
    assert after["pose_score"].between(0, 1).all()
    assert read_json(layout.predictions / "coco/about.json", made_by="predict")["score"] == "expected_oks"
    path = Path("data/calibration.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_hash": "other"}))
    with pytest.raises(ArtifactError, match="made with model_hash other"):
        predict.run(asked, layout, "cpu", "coco")


def test_soft_nms_and_rescoring_do_not_go_together(project: Path) -> None:
    with pytest.raises(ConfigError, match="would undo"):
        load_params(project / "params.yaml", ["predict.rescoring=expected_oks", "predict.nms.kind=soft_oks"])
