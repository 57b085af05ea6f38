from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from poseline.config import CodecConfig, ModelConfig
from poseline.config.network import BACKBONES, CODECS
from poseline.core.skeletons import list_skeletons
from poseline.errors import ConfigError
from poseline.models.pose_model import build_network
from poseline.zoo.catalogue import PRESETS, KindRow, list_kinds, list_models
from poseline.zoo.measure import measure
from poseline.zoo.sizes import SIZES


def test_every_preset_has_a_row() -> None:
    rows = [preset.describe() for preset in list_models()]
    assert [row["preset"] for row in rows] == list(PRESETS)
    assert SIZES.keys() == PRESETS.keys()
    fast = next(row for row in rows if row["preset"] == "alphapose/fastpose-r50")
    found = [fast[key] for key in ("kind", "backbone", "input_wh", "parameters", "metric")]
    assert found == ["fastpose", "resnet50", [192, 256], 40_577_745, 0.72]
    assert "flip test" in fast["protocol"]
    assert all(row["metric"] is None or (0 < row["metric"] < 1 and row["protocol"]) for row in rows)
    assert len(list_models("hrnet/")) == 5


def test_presets_agree_with_their_skeletons() -> None:
    assert {preset.skeleton for preset in PRESETS.values()} <= set(list_skeletons())
    assert PRESETS["alphapose/fastpose-wholebody133-integral"].num_keypoints == 133


def test_every_preset_says_under_which_licence_its_weights_are_published() -> None:
    licences = {name.split("/")[0]: preset.licence for name, preset in PRESETS.items()}
    assert set(licences) == {"alphapose", "simple-baselines", "hrnet", "mmpose", "vitpose"}
    assert "non-commercial" in licences["alphapose"]
    assert all(licences.values())


@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=[] if name in ("mmpose/rtmpose-tiny-coco-256x192", "alphapose/fastpose-dcn-r50") else [pytest.mark.slow])
        for name in PRESETS
    ],
)
def test_listed_sizes_are_those_measured(preset: str) -> None:
    chosen = PRESETS[preset]
    parameters, gmacs = measure(chosen.model, chosen.codec, chosen.num_keypoints)
    assert (parameters, round(gmacs, 3)) == SIZES[preset]


def test_measuring_counts_multiply_adds() -> None:
    # One 7x7 convolution of stride 2 and then the rest: twice the input area costs twice as much.
    small = measure(ModelConfig(input_wh=(64, 64)), CodecConfig(), 17)
    large = measure(ModelConfig(input_wh=(64, 128)), CodecConfig(), 17)
    assert small[0] == large[0]
    assert large[1] == pytest.approx(2 * small[1])


SOME = ("resnet10", "se_resnet10", "shuffle_resnet10", "hrnet_w32", "hardnet68", "vit_tiny", "cspnext_tiny", "timm")
"""One backbone of each sort."""


def build(kind: str, backbone: str, codec: str) -> None:
    model = ModelConfig(kind=kind, backbone="timm/resnet10t" if backbone == "timm" else backbone, input_wh=(64, 96))
    with torch.device("meta"):
        build_network(model, CodecConfig.model_validate({"kind": codec, "combined": {"integral_last": 6}}), 17)


@pytest.mark.parametrize("kind", list_kinds(), ids=lambda kind: kind.kind)
def test_listed_kinds_build_with_all_that_is_listed(kind: KindRow) -> None:
    fitting = [backbone for backbone in SOME if backbone in kind.backbones]
    for backbone, codec in [(fitting[0], codec) for codec in kind.codecs] + [(backbone, kind.codecs[0]) for backbone in fitting[1:]]:
        build(kind.kind, backbone, codec)
    for other in set(SOME) - set(fitting):
        with pytest.raises(ConfigError):
            build(kind.kind, other, kind.codecs[0])
    for codec in set(CODECS.names) - set(kind.codecs):
        with pytest.raises(ConfigError):
            build(kind.kind, fitting[0], codec)


def test_heads_are_listed_with_the_backbones_that_fit_them() -> None:
    rows = {row.kind: row for row in list_kinds()}
    assert rows["simplepose"].backbones == BACKBONES.names
    assert rows["hrnet"].backbones == ("hrnet_w32", "hrnet_w48")
    assert "vit_tiny" not in rows["fastpose_duc"].backbones
    assert rows["rtmpose"].codecs == ("simcc", "regression")


def test_listing_does_not_load_torch() -> None:
    code = "import sys; from poseline.zoo.catalogue import list_models; list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
