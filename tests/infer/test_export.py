"""Export to ONNX: the same outputs as PyTorch, its description beside it, any batch size, and the command in a subfolder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poseline.cli import app
from poseline.config import CodecConfig, ModelConfig, PredictConfig
from poseline.errors import BackendError
from poseline.infer import export
from poseline.infer.runtime import load_estimator
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.zoo.catalogue import get_preset

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A small untrained network."""
    torch.manual_seed(0)
    model, codec = ModelConfig(backbone="resnet10", width=0.125, head="pyramid", deconv_channels=(16,), input_wh=(32, 64)), CodecConfig()
    save_model(tmp_path / "data/model", build_model(model, codec, 17), SavedModel(model, codec, "coco17", score="mean"))
    return tmp_path / "data/model"


def test_the_exported_network_finds_the_same_poses(model_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "net.onnx"
    assert export.export_onnx(model_folder, target) < export.TOLERANCE
    assert target.with_suffix(".json").read_text() == (model_folder / "model.json").read_text()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (100, 120, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 50, 90], [40, 10, 100, 95], [0, 0, 30, 30]], np.float32)
    own = load_estimator(PredictConfig(score="model"), model_folder, torch.device("cpu"))
    exported = load_estimator(PredictConfig(score="model", runtime="onnxruntime", onnx=str(target)), model_folder, torch.device("cpu"))
    assert own.score == exported.score == "mean"
    for count in (1, 3):
        one, other = own.estimate(image, boxes[:count]), exported.estimate(image, boxes[:count])
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=0.05)
        np.testing.assert_allclose(one.pose_scores, other.pose_scores, atol=1e-4)


def test_an_export_that_differs_is_not_kept(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "compare_outputs", lambda *_: 0.01)
    with pytest.raises(BackendError, match=r"differs from PyTorch's by 1\.0e-02 relative"):
        export.export_onnx(model_folder, tmp_path / "net.onnx")
    assert not list(tmp_path.glob("*net*"))


def test_the_command_finds_the_projects_model_from_a_subfolder(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "deep/er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep/er")
    done = CliRunner().invoke(app, ["export", "--out", "net.onnx"], catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "deep/er/net.onnx").is_file()
    assert (tmp_path / "deep/er/net.json").is_file()


@pytest.mark.slow
def test_deformable_convolutions_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = get_preset("alphapose/fastpose-dcn-r50")
    model = found.model.model_copy(update={"input_wh": (64, 64)})
    save_model(tmp_path / "m", build_model(model, found.codec, 17), SavedModel(model, found.codec, "coco17", score="mean"))
    assert export.export_onnx(tmp_path / "m", tmp_path / "net.onnx") < export.TOLERANCE
