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
    refine: Literal["none", "parabola"] = Field(
        default="parabola", description="parabola: the vertex through the highest bin and its neighbours; none: the highest bin"
    )
    score: Literal["probability", "raw"] = Field(
        default="probability", description="probability: of lying within two sigma of the peak; raw: the lower peak of the outputs"
    )


class CombinedConfig(Section):
    """Heat maps (codec.heatmap) for the first keypoints, the integral (codec.integral) for the last: body, then face and hands."""

    integral_last: int = Field(default=110, ge=1, description="keypoints at the end that the integral locates")


class CodecConfig(Section):
    """How keypoints become the network's targets and its outputs become keypoints."""

    kind: Literal["heatmap", "udp", "integral", "combined", "simcc", "regression"] = "udp"
    geometry: Literal["unbiased", "legacy"] = "unbiased"
    heatmap: HeatmapConfig = HeatmapConfig()
    udp: UdpConfig = UdpConfig()
    integral: IntegralConfig = IntegralConfig()
    simcc: SimccConfig = SimccConfig()
    combined: CombinedConfig = CombinedConfig()


class NormaliseConfig(Section):
    """Input normalisation on RGB in 0..1: (x - mean) / std."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class ModelConfig(Section):
    """The network."""

    kind: Literal["simplepose", "fastpose", "fastpose_duc", "hrnet", "hardnet", "vitpose", "rtmpose"] = "simplepose"
    backbone: str = Field(
        default="resnet18",
        description="resnet18..152, se_resnet18..152, shuffle_resnet18..152, hrnet_w32 or _w48, hardnet68 or 85, "
        "vit_small.._huge, cspnext_tiny.._large, timm/<name>; FastPose's ResNets always carry channel attention",
    )
    weights: str = Field(default="none", description="backbone weights: none, imagenet, or a file")
    width: float = Field(default=1.0, gt=0, le=4, description="multiplier of a ResNet's channels")
    input_wh: tuple[int, int] = (192, 256)
    padding: float = Field(default=1.25, ge=1.0, description="extent of the crop over the person box")
    head: Literal["standard", "pyramid"] = Field(
        default="standard", description="pyramid: a light head that adds up all stages (simplepose and fastpose)"
    )
    deconv_channels: tuple[int, ...] = Field(default=(256, 256, 256), description="simplepose; the pyramid takes the last")
    conv_dim: int = Field(default=128, ge=4, description="fastpose: channels before the last convolution")
    decoder: Literal["classic", "simple"] = Field(default="classic", description="vitpose: two deconvolutions, or one resize")
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="vitpose: stochastic depth of the last block")
    dcn: bool = Field(default=False, description="deformable convolutions in ResNet stages 2 to 4")
    normalise: NormaliseConfig = NormaliseConfig()

    @model_validator(mode="after")
    def _input_size(self) -> ModelConfig:
        if any(side < 32 or side % 32 for side in self.input_wh):
            raise ValueError(f"input_wh: both sides must be multiples of 32, got {list(self.input_wh)}")
        if not self.deconv_channels or min(self.deconv_channels) < 1:
            raise ValueError(f"deconv_channels: expected one or more positive counts, got {list(self.deconv_channels)}")
        return self


class LossConfig(Section):
    """The training loss; ``auto`` takes the codec's own (mse, integral_l1, simcc_kl, rle)."""

    kind: Literal["auto", "mse", "ohkm", "integral_l1", "combined", "simcc_kl", "rle"] = "auto"
    ohkm_topk: int = Field(default=8, ge=1)
    keypoint_weights: tuple[float, ...] | None = None
