"""Sections of params.yaml about the network: codec, model, loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from poseline.config.base import Section


class HeatmapConfig(Section):
    """Gaussian heat maps, decoded by the peak with a quarter-pixel offset or DARK's second-order step."""

    sigma: float = Field(default=2.0, gt=0, description="heat-map pixels")
    centre: Literal["integer", "subpixel"] = "subpixel"
    refine: Literal["none", "quarter", "dark"] = "dark"
    dark_kernel: int = Field(default=7, ge=3)


class UdpConfig(Section):
    """Heat maps in the unbiased grid, sub-pixel Gaussians, DARK-UDP decoding."""

    sigma: float = Field(default=2.0, gt=0)
    kernel: int = Field(default=11, ge=3)


class IntegralConfig(Section):
    """The expectation over a normalised heat map (RMPE's symmetric integral)."""

    normalise: Literal["softmax", "sigmoid", "divide_sum"] = "sigmoid"


class SimccConfig(Section):
    """One classification over x bins and one over y bins."""

    split_ratio: float = Field(default=2.0, ge=1.0, description="bins per input pixel")
    sigma: float = Field(default=4.0, gt=0, description="bins")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    temperature: float = Field(default=10.0, gt=0)


class CodecConfig(Section):
    """How keypoints become the network's targets and its outputs become keypoints."""

    kind: Literal["heatmap", "udp", "integral", "simcc", "regression"] = "udp"
    geometry: Literal["unbiased", "legacy"] = "unbiased"
    heatmap: HeatmapConfig = HeatmapConfig()
    udp: UdpConfig = UdpConfig()
    integral: IntegralConfig = IntegralConfig()
    simcc: SimccConfig = SimccConfig()


class NormaliseConfig(Section):
    """Input normalisation on RGB in 0..1: (x - mean) / std."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class ModelConfig(Section):
    """The network."""

    kind: Literal["simplepose", "fastpose", "fastpose_duc", "hrnet", "hardnet", "vitpose", "rtmpose"] = "simplepose"
    backbone: str = Field(default="resnet18", description="resnet18..152, se_resnet50.., hrnet_w32, hardnet68, vit_small.., timm/<name>")
    weights: str = Field(default="none", description="backbone weights: none, imagenet, or a file")
    input_wh: tuple[int, int] = (192, 256)
    deconv_channels: tuple[int, ...] = (256, 256, 256)
    conv_dim: Literal[128, 256] = 128
    dcn: bool = False
    normalise: NormaliseConfig = NormaliseConfig()

    @model_validator(mode="after")
    def _input_size(self) -> ModelConfig:
        if any(side < 32 or side % 32 for side in self.input_wh):
            raise ValueError(f"input_wh: both sides must be multiples of 32, got {list(self.input_wh)}")
        return self


class LossConfig(Section):
    """The training loss; ``auto`` takes the codec's own (mse, integral_l1, simcc_kl, rle)."""

    kind: Literal["auto", "mse", "ohkm", "integral_l1", "combined", "simcc_kl", "rle"] = "auto"
    ohkm_topk: int = Field(default=8, ge=1)
    keypoint_weights: tuple[float, ...] | None = None
