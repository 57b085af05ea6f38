from __future__ import annotations

import subprocess
import sys

import pytest

from poseline.config import CodecConfig, ModelConfig
from poseline.core.skeletons import list_skeletons, load_skeleton
from poseline.models import list_models
from poseline.models.measure import measure
from poseline.models.presets import PRESETS
from poseline.models.sizes import SIZES


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


def test_listing_does_not_load_torch() -> None:
    code = "import sys; from poseline.models import list_models; list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
