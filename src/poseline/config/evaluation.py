"""Sections of params.yaml about use and judgement: predict, score, report, gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from poseline.config.base import Section


class NmsConfig(Section):
    """Suppression of duplicate poses among detections."""

    kind: Literal["none", "parametric", "oks", "soft_oks"] = "parametric"
    mode: Literal["reference", "fixed"] = "fixed"
    oks_threshold: float = Field(default=0.9, gt=0, le=1)


class PredictConfig(Section):
    """Keypoints from boxes."""

    batch_size: int = Field(default=64, ge=1)
    flip: bool = True
    runtime: Literal["torch", "onnxruntime"] = "torch"
    onnx: str | None = Field(default=None, description="score this ONNX file instead of the trained model; its spec lies beside it as .json")
    min_box_score: float = Field(default=0.05, ge=0, le=1)
    score: Literal["mean", "mean_visible", "reference"] = "mean_visible"
    nms: NmsConfig = NmsConfig()


class ScoreConfig(Section):
    """Protocols."""

    engine: Literal["pycocotools", "poseline"] = Field(default="pycocotools", description="poseline: the same numbers, faster")
    posetrack_mode: Literal["poseval", "strict"] = "poseval"
    bootstrap: int = Field(default=1000, ge=0, description="resamples for 95 % intervals; 0: none")


class ReportConfig(Section):
    """The HTML page."""

    pictures: int = Field(default=12, ge=0)
    title: str = "poseline report"


class GateConfig(Section):
    """The regression check on COCO AP."""

    max_drop: float = Field(default=0.005, ge=0, description="a drop is refused when it is significant and larger than this")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)
