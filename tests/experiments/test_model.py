"""The logged model: signature, link to its scores, champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from poseline.artifacts import Layout, file_hash
from poseline.config import CodecConfig, ModelConfig, Params
from poseline.errors import BackendError
from poseline.experiments import open_stage, set_champion, tracking_uri
from poseline.experiments.model import export_model, save_model
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, load_model
from poseline.models.saved import save_model as save_ours

if TYPE_CHECKING:
    from tests.experiments.conftest import Store


def write_model(folder: Path, codec: str = "heatmap") -> None:
    """A small untrained network, as the train stage leaves it."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"backbone": "resnet10", "width": 0.25, "input_wh": [32, 32]})
    choice = CodecConfig.model_validate({"kind": codec, "combined": {"integral_last": 5}})
    folder.mkdir(parents=True)
    save_ours(folder, build_model(config, choice, 17), SavedModel(model=config, codec=choice, skeleton="coco17"))


@pytest.mark.timeout(300)
def test_model_is_logged_linked_and_made_champion(
    layout: Layout,
    store: Store,
    make_params: Callable[..., Params],
    monkeypatch: pytest.MonkeyPatch,
    score: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    import mlflow.pytorch

    params, weights = make_params(), layout.model / "model.safetensors"
    digest = "0123456789abcdef0123456789abcdef.dir"
    (layout.root / "dvc.lock").write_text(f"stages: {{preprocess: {{cmd: x, outs: [{{path: data/processed, md5: {digest}}}]}}}}\n")
    with open_stage("train", params, layout):
        write_model(layout.model)
    with open_stage("score@coco", params, layout):
        score("coco", ap=0.5)
    assert capsys.readouterr().err == ""
    train = store.stage("train")
    [output] = train.outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    linked = [(metric.key, metric.value, metric.dataset_name, metric.dataset_digest) for metric in model.metrics]
    assert linked == [("coco.ap", 0.5, "data/processed", digest)]
    assert model.tags["poseline.weights"] == file_hash(weights)
    assert store.parents()[0].data.tags["poseline.model_id"] == output.model_id
    kept = {file.path for file in store.client.list_artifacts(train.info.run_id, "model_folder/model")}
    assert {"model_folder/model/model.safetensors", "model_folder/model/model.json"} <= kept
    assert set_champion(params, layout, weights=weights) == set_champion(params, layout, weights=weights) == "1"
    assert store.client.get_model_version_by_alias("poseline", "champion").source == f"models:/{output.model_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(params.mlflow, layout.root))
    loaded = mlflow.pytorch.load_model("models:/poseline@champion")
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), load_model(layout.model)[0](images))


@pytest.mark.parametrize(
    ("codec", "outputs"), [("heatmap", 1), ("udp", 1), ("integral", 1), ("combined", 1), ("simcc", 2), ("regression", 1)]
)
def test_networks_of_every_codec_have_a_signature(tmp_path: Path, codec: str, outputs: int) -> None:
    from mlflow.models import Model

    write_model(tmp_path / "ours", codec)
    export_model(tmp_path / "ours", tmp_path / "model")
    signature = Model.load(str(tmp_path / "model")).signature
    assert signature is not None
    assert len(signature.outputs) == outputs
    assert signature.inputs.inputs[0].shape == (-1, 3, 32, 32)


@pytest.mark.timeout(300)
def test_model_with_several_outputs_is_logged(
    layout: Layout, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SimCC's network gives one tensor an axis; the signature names both."""
    import mlflow.pyfunc
    import mlflow.pytorch

    params = make_params()
    with open_stage("train", params, layout):
        write_model(layout.model, "simcc")
    assert capsys.readouterr().err == ""
    [output] = store.stage("train").outputs.model_outputs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(params.mlflow, layout.root))
    address = f"models:/{output.model_id}"
    assert [spec.name for spec in mlflow.pyfunc.load_model(address).metadata.signature.outputs] == ["output_0", "output_1"]
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        for made, wanted in zip(mlflow.pytorch.load_model(address)(images), load_model(layout.model)[0](images), strict=True):
            np.testing.assert_allclose(made.numpy(), wanted.numpy(), atol=1e-5)


def test_a_batch_of_one_would_be_frozen_into_the_graph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="example: expected a batch of at least 2"):
        save_model(torch.nn.Identity(), tmp_path / "model", example=torch.zeros(1, 3))


def test_model_that_cannot_be_exported_costs_a_warning(
    layout: Layout, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("this graph cannot be traced")

    monkeypatch.setattr("poseline.experiments.model.save_model", refuse)
    with open_stage("train", make_params(), layout) as run:
        write_model(layout.model)
        run.result["train.epochs"] = 1.0
    [line] = capsys.readouterr().err.splitlines()
    assert "the model was not logged: this graph cannot be traced" in line
    train = store.stage("train")
    assert (train.info.status, train.data.metrics["train.epochs"]) == ("FINISHED", 1.0)
    assert store.client.list_artifacts(train.info.run_id, "model_folder/model")


def test_champion_needs_a_logged_model(layout: Layout, make_params: Callable[..., Params], dead_uri: str) -> None:
    weights = layout.root / "model.safetensors"
    weights.write_bytes(b"weights")
    with pytest.raises(BackendError, match="knows no model with these weights"):
        set_champion(make_params(), layout, weights=weights)
    with pytest.raises(BackendError, match="was not moved"):
        set_champion(make_params(uri=dead_uri), layout, weights=weights)
