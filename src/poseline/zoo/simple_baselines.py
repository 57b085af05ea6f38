"""Simple Baselines for Human Pose Estimation and Tracking (Microsoft)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poseline.config import ModelConfig
from poseline.zoo.presets import BARE, COCO_56, MPII_PCKH, PUBLISHED_HEATMAP, Preset, replace_model

LICENCE = "MIT"


def list_presets() -> Iterator[Preset]:
    """Its networks on COCO and MPII."""
    coco = Preset("", LICENCE, ModelConfig(), PUBLISHED_HEATMAP, BARE, protocol=COCO_56)
    mpii = replace(coco, skeleton="mpii16", protocol=MPII_PCKH)
    for depth, ap, pckh in ((50, 0.704, 0.885), (101, 0.714, 0.891), (152, 0.720, 0.896)):
        model = ModelConfig(backbone=f"resnet{depth}")
        yield replace(coco, name=f"simple-baselines/r{depth}-coco-256x192", model=model, metric=ap)
        yield replace(mpii, name=f"simple-baselines/r{depth}-mpii-256x256", model=replace_model(model, input_wh=(256, 256)), metric=pckh)
