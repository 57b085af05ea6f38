"""Sections of params.yaml about the network: codec, model, loss; and the kinds of codecs, backbones, heads and losses."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from poseline.config.base import KindSection, Section
from poseline.kinds import Kinds

CODECS = Kinds(
    "poseline.codecs",
    {
        "heatmap": "poseline.codecs.heatmap:HeatmapCodec",
        "udp": "poseline.codecs.heatmap:UdpCodec",
        "integral": "poseline.codecs.integral:IntegralCodec",
        "combined": "poseline.codecs.integral:CombinedCodec",
        "simcc": "poseline.codecs.simcc:SimccCodec",
        "regression": "poseline.codecs.regression:RegressionCodec",
        "keypoints": "poseline.codecs.keypoints:KeypointsCodec",
    },
)
"""``codec.kind``: subclasses of :class:`poseline.codecs.base.Codec`."""

LOSSES = Kinds(
    "poseline.losses",
    {
        "mse": "poseline.models.losses:HeatmapMse",
        "ohkm": "poseline.models.losses:HardKeypointMse",
        "integral_l1": "poseline.models.losses_coordinates:IntegralL1",
        "combined": "poseline.models.losses:CombinedLoss",
        "simcc_kl": "poseline.models.losses:SimccDivergence",
        "rle": "poseline.models.losses_coordinates:ResidualLogLikelihood",
    },
)
"""``loss.kind``: subclasses of :class:`poseline.models.losses_coordinates.Loss`; a codec names those that fit it."""

RESNETS = tuple(f"{variant}resnet{depth}" for variant in ("", "se_", "shuffle_") for depth in (10, 18, 34, 50, 101, 152))
BACKBONES = Kinds(
    "poseline.backbones",
    {
        **dict.fromkeys(RESNETS, "poseline.models.backbones.resnet:ResNet"),
        **dict.fromkeys(("hrnet_w32", "hrnet_w48"), "poseline.models.backbones.hrnet:HRNet"),
        **dict.fromkeys(("hardnet68", "hardnet85"), "poseline.models.backbones.hardnet:HarDNet"),
        **dict.fromkeys([f"vit_{size}" for size in ("tiny", "small", "base", "large", "huge")], "poseline.models.backbones.vit:PlainViT"),
        **dict.fromkeys([f"cspnext_{size}" for size in ("tiny", "small", "medium", "large")], "poseline.models.backbones.cspnext:CspNext"),
        "timm": "poseline.models.backbones.timm:TimmBackbone",
    },
)
"""``model.backbone``: subclasses of :class:`poseline.models.backbones.base.Backbone`; timm's are written ``timm/<name>``."""

HEADS = Kinds(
    "poseline.heads",
    {
        "simplepose": "poseline.models.heads.deconv:DeconvHead",
        "fastpose": "poseline.models.heads.shuffle:FastPoseHead",
        "fastpose_duc": "poseline.models.heads.shuffle:FastPoseDucHead",
        "hrnet": "poseline.models.heads.finest:HRNetHead",
        "hardnet": "poseline.models.heads.finest:HarDNetHead",
        "vitpose": "poseline.models.heads.vitpose:ViTPoseHead",
        "rtmpose": "poseline.models.heads.rtmpose:RTMPoseHead",
    },
)
"""``model.kind``: subclasses of :class:`poseline.models.heads.base.Head`, by the architecture that they make of a backbone."""


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


class KeypointsConfig(Section):
    """Networks that give keypoints, not maps or bins; for prediction only."""

    order: Literal["xys", "yxs", "sxy", "syx", "xy", "yx"] = Field(
        default="xys", description="last axis of the output: coordinates and score; without s the scores are a second output [B, K]"
    )
    units: Literal["pixels", "fraction"] = Field(default="pixels", description="of the coordinates: pixels of the input, or 0..1 of it")


class CodecConfig(KindSection):
    """How keypoints become the network's targets and its outputs become keypoints."""

    kinds: ClassVar[Kinds] = CODECS
    kind: str = "udp"
    geometry: Literal["unbiased", "published"] = Field(default="unbiased", description="published: as older networks were trained")
    heatmap: HeatmapConfig = HeatmapConfig()
    udp: UdpConfig = UdpConfig()
    integral: IntegralConfig = IntegralConfig()
    simcc: SimccConfig = SimccConfig()
    combined: CombinedConfig = CombinedConfig()
    keypoints: KeypointsConfig = KeypointsConfig()


class NormaliseConfig(Section):
    """Input normalisation on RGB in 0..1: (x - mean) / std."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class ModelConfig(KindSection):
    """The network."""

    kinds: ClassVar[Kinds] = HEADS
    kind: str = "simplepose"
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

    @property
    def backbone_kind(self) -> str:
        """The backbone's name in ``BACKBONES``."""
        return "timm" if self.backbone.startswith("timm/") else self.backbone

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, backbone: str) -> str:
        BACKBONES.check("timm" if backbone.startswith("timm/") else backbone)
        return backbone

    @model_validator(mode="after")
    def _input_size(self) -> ModelConfig:
        if any(side < 32 or side % 32 for side in self.input_wh):
            raise ValueError(f"input_wh: both sides must be multiples of 32, got {list(self.input_wh)}")
        if not self.deconv_channels or min(self.deconv_channels) < 1:
            raise ValueError(f"deconv_channels: expected one or more positive counts, got {list(self.deconv_channels)}")
        return self


class LossConfig(Section):
    """The training loss."""

    kind: str = Field(default="auto", description="auto: the codec's own (mse, integral_l1, combined, simcc_kl, rle); ohkm: heat maps")
    ohkm_topk: int = Field(default=8, ge=1)
    keypoint_weights: tuple[float, ...] | None = None

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        return kind if kind == "auto" else LOSSES.check(kind)
