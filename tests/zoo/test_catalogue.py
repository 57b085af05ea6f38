from __future__ import annotations

import subprocess
import sys

import pytest

from poseline.config import CodecConfig, ModelConfig
from poseline.core.skeletons import list_skeletons, load_skeleton
from poseline.errors import ConfigError
from poseline.models.build import build_empty
from poseline.zoo.catalogue import ALL as CODEC_KINDS
from poseline.zoo.catalogue import KINDS, KindRow, list_models
from poseline.zoo.measure import measure
from poseline.zoo.presets import PRESETS
from poseline.zoo.sizes import SIZES


def test_every_preset_has_a_row() -> None:
    rows = list_models()
    assert [row.preset for row in rows] == list(PRESETS)
    assert SIZES.keys() == PRESETS.keys()
    fast = next(row for row in rows if row.preset == "alphapose/fastpose-r50")
    assert (fast.kind, fast.backbone, fast.input_wh, fast.parameters, fast.figure) == ("fastpose", "resnet50", (192, 256), 40_577_745, 0.72)
    assert "flip test" in fast.protocol
    assert all(row.figure is None or (0 < row.figure < 1 and row.protocol) for row in rows)
    assert len(list_models("hrnet/")) == 5


def test_presets_agree_with_their_skeletons() -> None:
    for preset in PRESETS.values():
        if preset.skeleton in list_skeletons():
            assert load_skeleton(preset.skeleton).num_keypoints == preset.num_keypoints


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


def concrete(backbone: str) -> str:
    """One backbone of a listed family."""
    named = {"vit_tiny..huge": "vit_tiny", "cspnext_tiny..large": "cspnext_tiny", "timm/<name>": "timm/resnet10t"}
    return named.get(backbone, backbone.replace("resnet10..152", "resnet10"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_listed_kinds_build_with_all_that_is_listed(kind: KindRow) -> None:
    pairs = [(kind.backbones[0], codec) for codec in kind.codecs] + [(backbone, kind.codecs[0]) for backbone in kind.backbones[1:]]
    for backbone, codec in pairs:
        model = ModelConfig(kind=kind.kind, backbone=concrete(backbone), input_wh=(64, 96))  # type: ignore[arg-type]
        build_empty(model, CodecConfig.model_validate({"kind": codec, "combined": {"integral_last": 6}}), 17)
    for other in {backbone for row in KINDS for backbone in row.backbones} - set(kind.backbones):
        with pytest.raises(ConfigError):
            build_empty(ModelConfig(kind=kind.kind, backbone=concrete(other)), CodecConfig(kind=kind.codecs[0]), 17)  # type: ignore[arg-type]
    for codec in set(CODEC_KINDS) - set(kind.codecs):
        with pytest.raises(ConfigError):
            build_empty(ModelConfig(kind=kind.kind, backbone=concrete(kind.backbones[0])), CodecConfig(kind=codec), 17)  # type: ignore[arg-type]


def test_listing_does_not_load_torch() -> None:
    code = "import sys; from poseline.zoo.catalogue import list_models; list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
