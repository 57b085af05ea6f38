from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from poseline.artifacts import file_hash
from poseline.config import CodecConfig, ModelConfig
from poseline.core.skeletons import load_skeleton
from poseline.errors import ArtifactError, ConfigError
from poseline.models.checkpoints import rename
from poseline.models.pose_model import build_model
from poseline.models.saved import SCHEMA_1_NAMES, SavedModel, load_model, load_saved, save_model

MODEL = ModelConfig(width=0.25, deconv_channels=(16, 16, 16), input_wh=(32, 32))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_model(MODEL, CodecConfig(), 16)


@pytest.fixture
def folder(tmp_path: Path, network: nn.Module) -> Path:
    saved = SavedModel(MODEL, CodecConfig(), "mpii16", data_hash="d", config_hash="c", extra={"ap": 0.5, "epochs": [1, 2]})
    save_model(tmp_path / "model", network, saved)
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was_saved(folder: Path, network: nn.Module) -> None:
    module, saved = load_model(folder)
    assert not module.training
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(module(image), network.eval()(image))
    assert (saved.model, saved.codec, saved.skeleton, saved.num_keypoints) == (MODEL, CodecConfig(), "mpii16", 16)
    assert saved.keypoints == load_skeleton("mpii16")
    assert (saved.data_hash, saved.config_hash, dict(saved.extra)) == ("d", "c", {"ap": 0.5, "epochs": [1, 2]})
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_loading_does_not_look_for_the_weights_that_training_started_from(tmp_path: Path, network: nn.Module) -> None:
    model = MODEL.model_copy(update={"weights": "gone.pth"})
    save_model(tmp_path, network, SavedModel(model, CodecConfig(), "mpii16"))
    assert load_model(tmp_path)[1].model.weights == "gone.pth"


def test_a_users_skeleton_travels_with_the_model(tmp_path: Path) -> None:
    file = tmp_path / "stick.yaml"
    file.write_text("name: stick\nkeypoints: [left_end, right_end, middle]\nflip_pairs: [[left_end, right_end]]\nsigmas: [0.1, 0.1, 0.2]\n")
    skeleton = load_skeleton(str(file))
    save_model(tmp_path / "model", build_model(MODEL, CodecConfig(), 3), SavedModel(MODEL, CodecConfig(), str(file)))
    file.unlink()
    assert load_model(tmp_path / "model")[1].keypoints == skeleton


def test_an_unknown_skeleton_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown skeleton 'fish'"):
        SavedModel(MODEL, CodecConfig(), "fish")


def old_name(name: str) -> str:
    """A parameter's name in folders of schema 1: the backbone was called preact, the head's layers stood beside it."""
    return name.replace("backbone.", "preact.").removeprefix("head.")


def test_a_folder_of_the_former_schema_is_read(folder: Path, network: nn.Module) -> None:
    save_file({old_name(name): tensor for name, tensor in network.state_dict().items()}, folder / "model.safetensors")
    codec = {**CodecConfig(kind="heatmap").model_dump(mode="json"), "geometry": "legacy"}
    edit(folder, schema_version=1, codec=codec, score="reference", weights_hash=file_hash(folder / "model.safetensors"))
    module, saved = load_model(folder)
    assert (saved.schema_version, saved.codec.geometry, saved.score) == (2, "published", "published")
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(module(image), network.eval()(image))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("preact.layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight"),
        ("pyramid.lateral.0.0.weight", "head.lateral.0.0.weight"),
        ("layer1.0.conv1.weight", "backbone.layer1.0.conv1.weight"),
        ("backbone.vit.norm.weight", "backbone.vit.norm.weight"),
        ("head.gau.o.weight", "head.gau.o.weight"),
        ("coordinates.weight", "head.coordinates.weight"),
        ("network.preact.conv1.weight", "backbone.conv1.weight"),
        ("network.backbone.vit.pos_embed", "backbone.vit.pos_embed"),
        ("network.head.final_layer.bias", "head.maps.final_layer.bias"),
        ("network.pyramid.smooth.0.0.weight", "head.maps.smooth.0.0.weight"),
        ("network.conv_out.weight", "head.maps.conv_out.weight"),
        ("network.stage4.0.branches.0.0.conv1.weight", "backbone.stage4.0.branches.0.0.conv1.weight"),
        ("x.weight", "head.x.weight"),
    ],
)
def test_names_of_the_former_schema_become_ours(old: str, new: str) -> None:
    assert rename(old, SCHEMA_1_NAMES) == new


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def remove_key(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "codec"}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "model.json").unlink(), "no such file"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
        (lambda folder: cut(folder / "model.json"), "not readable as JSON"),
        (lambda folder: cut(folder / "model.safetensors"), "expected the weights of hash"),
        (lambda folder: edit(folder, schema_version=99), "expected schema_version 2, got 99"),
        (lambda folder: edit(folder, model={"kind": "nonsense"}), "kind: "),
        (lambda folder: edit(folder, score="best"), "score: Input should be 'mean', 'mean_visible' or 'published', got best"),
        (lambda folder: edit(folder, keypoints=[]), "keypoints: Input should be a dictionary"),
        (lambda folder: edit(folder, model=ModelConfig(input_wh=(32, 32)).model_dump()), "do not fit the network"),
        (remove_key, "lacks 'codec'"),
    ],
)
def test_damaged_folders_are_refused_on_one_line(folder: Path, damage: object, says: str) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(ArtifactError) as error:
        load_model(folder)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_the_description_loads_without_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert load_saved(folder).skeleton == "mpii16"
