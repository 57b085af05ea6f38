from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from poseline.errors import ConfigError, DataError
from poseline.models.pose_model import build_empty
from poseline.models.saved import load_model
from poseline.zoo.catalogue import PRESETS, get_preset
from poseline.zoo.weights import import_weights, load_published, preset_shapes

RTM = "mmpose/rtmpose-tiny-coco-256x192"


def own_state(preset: str, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights under our names, drawn cheaply."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.zeros(shape, dtype=torch.long) if name.endswith("tracked") else torch.rand(shape, generator=generator) * 0.02
        for name, shape in preset_shapes(preset).items()
    }


def mmpose_vit_name(name: str) -> str:
    """Our name of a vision transformer's tensor as MMPose writes it."""
    pairs = (
        ("vit.blocks.", "layers."),
        (".norm1.", ".ln1."),
        (".norm2.", ".ln2."),
        ("vit.norm.", "ln1."),
        ("vit.patch_embed.proj.", "patch_embed.projection."),
        ("vit.pos_embed", "pos_embed"),
        ("mlp.fc1.", "ffn.layers.0.0."),
        ("mlp.fc2.", "ffn.layers.1."),
    )
    for ours, theirs in pairs:
        name = name.replace(ours, theirs)
    return name


def to_published(preset: str, name: str) -> str:
    """Our name of a tensor as the preset's authors write it."""
    family, network = preset.split("/")
    if family == "alphapose":
        return name.removeprefix("head.").replace("backbone.", "preact.")
    if family == "simple-baselines":
        return name.removeprefix("head.").removeprefix("backbone.")
    if family == "vitpose":
        return name.replace("backbone.vit.norm.", "backbone.last_norm.").replace(".vit.", ".").replace("head.", "keypoint_head.")
    if "vitpose" in network:
        return mmpose_vit_name(name)
    return name


@pytest.mark.parametrize(
    "preset",
    [
        "simple-baselines/r50-mpii-256x256",
        "mmpose/res50-coco-256x192",
        "mmpose/hrnet-w32-coco-256x192",
        "mmpose/vitpose-small-coco-256x192",
        "mmpose/vitpose-small-simple-coco-256x192",
        "vitpose/small-coco-256x192",
        RTM,
    ],
)
def test_published_names_become_ours(preset: str) -> None:
    ours = own_state(preset)
    network = load_published(preset, {to_published(preset, name): tensor for name, tensor in ours.items()})
    assert not network.training
    state = network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in ours.items())


def test_the_position_row_of_an_unused_class_token_is_folded_in() -> None:
    preset = "vitpose/small-coco-256x192"
    published = {to_published(preset, name): tensor for name, tensor in own_state(preset).items()}
    table = torch.rand(1, 193, 384)
    network = load_published(preset, {**published, "backbone.pos_embed": table, "backbone.cls_token": torch.zeros(1, 1, 384)})
    assert torch.equal(network.backbone.vit.pos_embed, table[:, 1:] + table[:, :1])


def test_old_files_without_batch_norm_counters_load() -> None:
    state = {name: tensor for name, tensor in own_state(RTM).items() if not name.endswith("num_batches_tracked")}
    loaded = load_published(RTM, state).state_dict()
    assert all(not tensor.any() for name, tensor in loaded.items() if name.endswith("num_batches_tracked"))


def test_weights_of_another_network_name_the_preset_that_fits() -> None:
    simple = "alphapose/simplepose-r50"
    state = {to_published(simple, name): tensor for name, tensor in own_state(simple).items()}
    with pytest.raises(DataError) as error:
        load_published("alphapose/fastpose-r50", state)
    text = str(error.value)
    assert "\n" not in text
    for part in ("28 missing: backbone.layer1.0.se.fc.0.weight", "20 unexpected: deconv_layers.0.weight", "alphapose/simplepose-r50."):
        assert part in text


def test_weights_of_another_skeleton_name_the_shapes_and_the_preset_that_fits() -> None:
    state = {to_published("simple-baselines/r50-mpii-256x256", k): v for k, v in own_state("simple-baselines/r50-mpii-256x256").items()}
    with pytest.raises(DataError) as error:
        load_published("simple-baselines/r50-coco-256x192", state)
    assert "final_layer.weight (expected [17, 256, 1, 1], got [16, 256, 1, 1])" in str(error.value)
    assert "They fit preset simple-baselines/r50-mpii-256x256." in str(error.value)


def test_weights_of_no_known_network_say_so() -> None:
    with pytest.raises(DataError, match="They fit none of the presets"):
        load_published(RTM, {"encoder.weight": torch.zeros(3, 3)})


def test_an_unknown_preset_names_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"unknown preset 'alphapose/fastpose-r5'\. Closest: alphapose/fastpose-r50"):
        load_published("alphapose/fastpose-r5", {})


def test_importing_writes_a_model_folder_and_says_where_it_came_from(tmp_path: Path) -> None:
    torch.save({"state_dict": own_state(RTM)}, tmp_path / "rtm.pth")
    saved = import_weights(tmp_path / "rtm.pth", RTM, tmp_path / "model")
    network, loaded = load_model(tmp_path / "model")
    assert loaded == saved
    assert saved.extra["preset"] == RTM
    assert saved.extra["source_file"] == "rtm.pth"
    assert saved.extra["published"] == 0.682
    x_scores, y_scores = network(torch.zeros(1, 3, 256, 192))
    assert (x_scores.shape, y_scores.shape) == ((1, 17, 384), (1, 17, 512))


def test_a_failed_import_names_the_file_and_leaves_no_folder(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth: preset .*weights of another network"):
        import_weights(tmp_path / "other.pth", RTM, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_issues_presets_exist() -> None:
    names = "simplepose-r50 fastpose-r50 fastpose-dcn-r50 fastpose-duc-r50 fastpose-duc-r152 hrnet-w32 hardnet68 hardnet85 "
    names += "fastpose-halpe26 fastpose-halpe136"
    assert {f"alphapose/{name}" for name in names.split()} <= PRESETS.keys()
    assert all(get_preset(name).name == name for name in PRESETS)


@pytest.mark.parametrize("preset", ["alphapose/fastpose-dcn-halpe136-combined", "mmpose/vitpose-small-coco-256x192"])
def test_presets_start_without_fetching_backbone_weights(preset: str) -> None:
    chosen = PRESETS[preset]
    assert chosen.model.weights == "none"
    assert build_empty(chosen.model, chosen.codec, chosen.num_keypoints).state_dict().keys() == preset_shapes(preset).keys()
