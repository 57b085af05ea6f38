"""The codec, its loss, the backbone and the head of docs/adding.md, found through entry points, train and decode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, LossConfig, ModelConfig, load_params
from poseline.config.network import CODECS, HEADS
from poseline.errors import BackendError, ConfigError
from poseline.models.heads.base import Head
from poseline.models.losses import build_loss
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, load_model, save_model
from poseline.zoo.catalogue import list_kinds

pytestmark = pytest.mark.usefixtures("toy_package")
MORE_KINDS = {
    "poseline.codecs": {"broken": "toy_poses.codec:Missing"},
    "poseline.heads": {"not_a_head": "toy_poses.codec:ToyLoss"},
}


def test_a_foreign_codec_with_its_own_loss_and_head_learns_and_decodes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    section = CodecConfig.model_validate({"kind": "toy", "toy": {"divisor": 50.0}})
    model = ModelConfig(kind="toy_head", backbone="toy_net", input_wh=(32, 64))
    codec = build_codec(section, num_keypoints=3, input_wh=model.input_wh)
    network, loss = build_model(model, section, 3), build_loss(LossConfig(), codec)
    keypoints = torch.tensor([[[3.0, 8.0], [20.0, 40.0], [10.0, 60.0]]])
    targets = codec.encode(keypoints, torch.ones(1, 3))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(300):
        value = loss(network(torch.ones(1, 3, 64, 32)), targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.1 * losses[0]
    outputs = network.eval()(torch.ones(1, 3, 64, 32)).detach()
    points, scores = codec.decode(outputs)
    assert (points - keypoints).abs().max() < 5
    assert scores.shape == (1, 3)
    flip = np.array([1, 0, 2])
    torch.testing.assert_close(codec.flip(codec.flip(outputs, flip), flip), outputs)

    save_model(tmp_path / "model", network, SavedModel(model, section, write_skeleton(tmp_path)))
    loaded, saved = load_model(tmp_path / "model")
    assert saved.codec == section
    assert torch.equal(loaded(torch.ones(1, 3, 64, 32)), outputs)


def write_skeleton(folder: Path) -> str:
    file = folder / "stick.yaml"
    file.write_text("name: stick\nkeypoints: [left_end, right_end, middle]\nflip_pairs: [[left_end, right_end]]\nsigmas: [0.1, 0.1, 0.2]\n")
    return str(file)


def test_a_foreign_backbone_goes_under_our_heads_and_into_a_model_folder(tmp_path: Path) -> None:
    model, section = ModelConfig(backbone="toy_net", deconv_channels=(8,), input_wh=(32, 64)), CodecConfig(kind="heatmap")
    network = build_model(model, section, 16).eval()
    codec = build_codec(section, num_keypoints=16, input_wh=model.input_wh)
    images = torch.rand(2, 3, 64, 32)
    assert codec.decode(network(images))[0].shape == (2, 16, 2)
    save_model(tmp_path / "model", network, SavedModel(model, section, "mpii16"))
    loaded, saved = load_model(tmp_path / "model")
    assert torch.equal(loaded(images), network(images))
    assert saved.model == model
    assert "toy_net" in next(row for row in list_kinds_without_broken() if row.kind == "simplepose").backbones


def list_kinds_without_broken() -> list:
    for kinds, name in ((CODECS, "broken"), (HEADS, "not_a_head")):
        kinds.plugins.pop(name)
    return list_kinds()


def test_options_of_a_foreign_kind_are_read_from_the_parameters_and_checked() -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml", ["codec.kind=toy", "codec.toy.divisor=9", "model.backbone=toy_net"])
    assert params.codec.toy.divisor == 9
    with pytest.raises(ValidationError, match="greater than 0"):
        CodecConfig.model_validate({"kind": "toy", "toy": {"divisor": -1}})
    with pytest.raises(ConfigError, match=r"codec\.toyy: unknown key"):
        load_params(Path(__file__).parents[2] / "params.yaml", ["codec.toyy.divisor=9"])


def test_parts_that_do_not_go_together_are_refused() -> None:
    toy = CodecConfig(kind="toy")
    with pytest.raises(ConfigError, match=r"simplepose predicts heatmaps, codec\.kind toy decodes points"):
        build_model(ModelConfig(backbone="toy_net", input_wh=(32, 64)), toy, 3)
    with pytest.raises(ConfigError, match=r"loss\.kind: 'mse' does not fit codec\.kind 'toy'"):
        build_loss(LossConfig(kind="mse"), build_codec(toy, num_keypoints=3, input_wh=(32, 64)))
    with pytest.raises(ConfigError, match=r"model.width: only ResNets have it, got backbone 'toy_net'"):
        build_model(ModelConfig(backbone="toy_net", width=0.5), CodecConfig(), 17)


def test_a_foreign_kind_that_is_broken_says_so() -> None:
    with pytest.raises(BackendError, match=r"poseline.codecs: kind 'broken' \(toy_poses\.codec:Missing\) cannot be loaded"):
        CODECS.load("broken")
    with pytest.raises(BackendError, match=r"poseline.heads: kind 'not_a_head' is not a subclass of poseline.models.heads.base.Head"):
        HEADS.load_class("not_a_head", Head)
