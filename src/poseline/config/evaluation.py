"""Sections of params.yaml about use and judgement: predict, score, report, gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from poseline.config.base import Section


class NmsConfig(Section):
    """Suppression of duplicate poses among detections."""

    kind: Literal["none", "parametric", "oks", "soft_oks"] = "parametric"
    mode: Literal["published", "fixed"] = "fixed"
    oks_threshold: float = Field(default=0.9, gt=0, le=1)


class PredictConfig(Section):
    """Keypoints from boxes."""

    batch_size: int = Field(default=64, ge=1)
    flip: bool = True
    runtime: Literal["torch", "onnxruntime"] = "torch"
    onnx: str | None = Field(default=None, description="run this ONNX file in place of the trained model; needs runtime: onnxruntime")
    onnx_spec: str | None = Field(default=None, description="its description; default: beside it, with the ending .json, .yaml or .yml")
    min_box_score: float = Field(default=0.05, ge=0, le=1)
    score: Literal["mean", "mean_visible", "published", "model"] = Field(
        default="mean_visible", description="mean: box score x mean keypoint score; mean_visible: over keypoints above .2; "
        "published: AlphaPose's; model: as the model's description says"
    )
    nms: NmsConfig = NmsConfig()
    rescoring: Literal["none", "expected_oks"] = Field(
        default="none", description="of COCO's poses; expected_oks: by the model that `poseline calibrate` fits"
    )
    calibration: str = Field(default="data/calibration.json", description="where that model lies")

    @model_validator(mode="after")
    def _agree(self) -> PredictConfig:
        if self.runtime == "torch" and (self.onnx or self.onnx_spec):
            raise ValueError("onnx: a file is named, but runtime is torch. Set predict.runtime=onnxruntime, or predict.onnx=null")
        if self.rescoring != "none" and self.nms.kind == "soft_oks":
            raise ValueError("rescoring: expected_oks would undo what soft_oks takes off the scores. Choose another predict.nms.kind")
        return self


class ScoreConfig(Section):
    """Protocols."""

    engine: Literal["pycocotools", "poseline"] = Field(default="pycocotools", description="poseline: the same numbers, faster")
    posetrack_mode: Literal["poseval", "strict"] = "poseval"
    bootstrap: int = Field(default=1000, ge=0, description="resamples for 95 % intervals; 0: none")
    diagnosis: bool = Field(default=True, description="COCO: kinds of errors, what they cost, and what the scores promise")


class ReportConfig(Section):
    """The HTML page."""

    images: int = Field(default=12, ge=0, description="poses shown; 0 leaves out every image")
    switches: int | None = Field(
        default=None, ge=0, description="id switches shown with their two frames (some 17 kB each); null: every one"
    )
    title: str = "poseline report"


class GateConfig(Section):
    """The regression check: which metrics may not fall, and how far they may."""

    max_drop: float | dict[str, float] = Field(
        default=0.005,
        description="a drop is refused when it is significant and larger than this fraction: of AP, or by metric: ap, ap50, ar, ap_SLICE, "
        "pckh, pckh_PART, SET_detections.ap, posetrack.mota; a metric without its score's name is that of the first set that has it",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100)
    check_power: bool = Field(default=True, description="refuse too where the set is too small to have shown a drop of max_drop")

    @field_validator("max_drop", mode="before")
    @classmethod
    def _fractions(cls, value: object) -> object:
        limits = value if isinstance(value, dict) else {"ap": value}
        if not limits:
            raise ValueError("expected a fraction or a mapping of metric to fraction")
        for name, limit in limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < 1:
                raise ValueError(f"expected a fraction from 0 to below 1 for '{name}'")
        return value

    @property
    def limits(self) -> dict[str, float]:
        """Metric -> tolerated drop."""
        return dict(self.max_drop) if isinstance(self.max_drop, dict) else {"ap": self.max_drop}
