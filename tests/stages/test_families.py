"""Every model family and every codec through preprocessing, training, prediction and scoring on drawn data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.experiments import StageRun
from poseline.stages import predict, preprocess, score, train

FAMILIES = {
    "simplepose": ("model.kind=simplepose", "model.backbone=resnet18", "model.head=standard", "model.deconv_channels=[16, 16, 16]"),
    "fastpose": ("model.kind=fastpose", "model.backbone=se_resnet18", "model.head=standard"),
    "fastpose_dcn": ("model.kind=fastpose", "model.backbone=resnet50", "model.head=standard", "model.dcn=true"),
    "fastpose_duc": ("model.kind=fastpose_duc", "model.backbone=shuffle_resnet50", "model.head=standard", "model.conv_dim=256"),
    "hrnet": ("model.kind=hrnet", "model.backbone=hrnet_w32", "model.head=standard", "model.width=1.0"),
    "hardnet": ("model.kind=hardnet", "model.backbone=hardnet68", "model.head=standard", "model.width=1.0"),
    "vitpose": ("model.kind=vitpose", "model.backbone=vit_small", "model.head=standard", "model.width=1.0"),
    "rtmpose": ("model.kind=rtmpose", "model.backbone=cspnext_tiny", "model.head=standard", "model.width=1.0", "codec.kind=simcc"),
    "timm": ("model.kind=simplepose", "model.backbone=timm/resnet10t", "model.width=1.0"),
}
CODECS = {kind: (f"codec.kind={kind}",) for kind in ("heatmap", "udp", "integral", "simcc", "regression")}
CODECS["combined"] = ("codec.kind=combined", "codec.combined.integral_last=6")


def run_pipeline(project: Path, overrides: tuple[str, ...]) -> dict[str, object]:
    params, layout = load_params(project / "params.yaml", overrides), Layout(Path())
    preprocess.run(params, layout)
    train.run(params, layout, "cpu", StageRun())
    predict.run(params, layout, "cpu", "coco")
    score.run(params, layout, "coco")
    metrics: dict[str, object] = json.loads((project / "reports/metrics/coco.json").read_text())
    return metrics


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_goes_through_the_pipeline(project: Path, tiny: tuple[str, ...], family: str) -> None:
    metrics = run_pipeline(project, (*tiny, "model.input_wh=[64, 96]", *FAMILIES[family]))
    assert 0 <= metrics["ap"] <= 1  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("codec", sorted(CODECS))
def test_every_codec_goes_through_the_pipeline(project: Path, tiny: tuple[str, ...], codec: str) -> None:
    metrics = run_pipeline(project, (*tiny, *CODECS[codec]))
    assert metrics["protocol"]["codec"] == codec  # type: ignore[index]


def test_the_published_augmentation_goes_through_the_pipeline(project: Path, tiny: tuple[str, ...]) -> None:
    published = ("augment.kind=published", "augment.box_noise=true", "augment.half_body=0.3")
    published += ("codec.kind=heatmap", "codec.geometry=published")
    metrics = run_pipeline(project, (*tiny, *published))
    assert metrics["protocol"]["codec"] == "heatmap"  # type: ignore[index]
