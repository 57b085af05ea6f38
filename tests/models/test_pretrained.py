from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from poseline.config import CodecConfig, ModelConfig
from poseline.errors import BackendError, ConfigError, DataError
from poseline.models.pose_model import build_model, build_network


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No address resolves, and the caches are empty."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def torchvision_file(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    state = dict(resnet18(weights=None).state_dict())
    torch.save(state, path)
    return state


@pytest.mark.parametrize("kind", ["simplepose", "fastpose"])
def test_a_classifiers_file_fills_the_backbone(tmp_path: Path, kind: str) -> None:
    state = torchvision_file(tmp_path / "r18.pth")
    network = build_model(ModelConfig(kind=kind, weights=str(tmp_path / "r18.pth")), CodecConfig(), 17)
    backbone = network.backbone.state_dict()
    assert all(torch.equal(backbone[name], tensor) for name, tensor in state.items() if not name.startswith("fc."))


def test_a_pose_networks_file_fills_the_backbone_of_another_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = build_network(ModelConfig(), CodecConfig(), 17)
    torch.save(source.state_dict(), tmp_path / "pose.pth")
    network = build_model(ModelConfig(weights=str(tmp_path / "pose.pth")), CodecConfig(kind="regression"), 21)
    assert torch.equal(network.backbone.conv1.weight, source.backbone.conv1.weight)


def test_a_transformers_positions_are_resampled_to_the_input(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    state = timm.create_model("vit_tiny_patch16_224", pretrained=False).state_dict()
    torch.save(state, tmp_path / "vit.pth")
    model = ModelConfig(kind="vitpose", backbone="vit_tiny", weights=str(tmp_path / "vit.pth"))
    network = build_model(model, CodecConfig(), 17)
    assert network.backbone.vit.pos_embed.shape == (1, 16 * 12, 192)
    assert torch.equal(network.backbone.vit.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])


def test_a_timm_backbone_takes_a_file_in_timms_naming(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    source = timm.create_model("lcnet_035", pretrained=False)
    torch.save(source.state_dict(), tmp_path / "lcnet.pth")
    network = build_model(ModelConfig(backbone="timm/lcnet_035", weights=str(tmp_path / "lcnet.pth")), CodecConfig(), 17)
    assert torch.equal(network.backbone.net.conv_stem.weight, source.conv_stem.weight)


def test_weights_of_another_backbone_are_refused_on_one_line(tmp_path: Path) -> None:
    torchvision_file(tmp_path / "r18.pth")
    for changes in ({"backbone": "resnet50"}, {"backbone": "timm/lcnet_035"}, {"kind": "hrnet", "backbone": "hrnet_w32"}):
        with pytest.raises(DataError, match=r"r18\.pth.*fit") as error:
            build_model(ModelConfig.model_validate({"weights": str(tmp_path / "r18.pth"), **changes}), CodecConfig(), 17)
        assert "\n" not in str(error.value)


def test_a_missing_file_is_refused() -> None:
    for backbone in ("resnet18", "timm/lcnet_035"):
        with pytest.raises(DataError, match=r"nowhere\.pth: no such file"):
            build_model(ModelConfig(backbone=backbone, weights="nowhere.pth"), CodecConfig(), 17)


def test_a_width_other_than_one_has_no_weights() -> None:
    with pytest.raises(ConfigError, match=r"needs model\.width 1, got 0\.5, .*Set model\.width to 1 .*, or model\.weights to none"):
        build_model(ModelConfig(width=0.5, weights="imagenet"), CodecConfig(), 17)


def test_without_a_network_the_error_says_which_file_goes_where(offline: Path) -> None:
    with pytest.raises(BackendError) as error:
        build_model(ModelConfig(backbone="resnet50", weights="imagenet"), CodecConfig(), 17)
    text = str(error.value)
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth cannot be fetched" in text
    assert f"Put that file at {offline}/torch/hub/checkpoints/resnet50-0676ba61.pth" in text
    assert "\n" not in text


def test_imagenet_weights_in_torchvisions_cache_are_used_without_a_network(offline: Path) -> None:
    place = offline / "torch/hub/checkpoints/resnet18-f37072fd.pth"
    place.parent.mkdir(parents=True)
    state = torchvision_file(place)
    network = build_model(ModelConfig(weights="imagenet"), CodecConfig(), 17)
    assert torch.equal(network.backbone.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize(
    ("kind", "backbone", "repository"),
    [
        ("simplepose", "timm/lcnet_050", "timm/lcnet_050"),
        ("hrnet", "hrnet_w32", "timm/hrnet_w32"),
        ("vitpose", "vit_tiny", "timm/vit_tiny_patch16_224"),
    ],
)
def test_without_a_network_timms_file_is_named(offline: Path, kind: str, backbone: str, repository: str) -> None:
    with pytest.raises(BackendError) as error:
        build_model(ModelConfig(kind=kind, backbone=backbone, weights="imagenet"), CodecConfig(), 17)
    assert f"Download model.safetensors from huggingface.co/{repository}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kind", "backbone"), [("hardnet", "hardnet68"), ("vitpose", "vit_small")])
def test_backbones_without_published_weights_say_so(kind: str, backbone: str) -> None:
    with pytest.raises(BackendError, match=f"no loader of ImageNet weights for '{backbone}'"):
        build_model(ModelConfig(kind=kind, backbone=backbone, weights="imagenet"), CodecConfig(), 17)
