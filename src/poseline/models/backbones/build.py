"""The trunk that ``model.backbone`` names."""

from __future__ import annotations

import re

from poseline.config import ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.cspnext import CSPNEXT_SCALES, CspNext
from poseline.models.backbones.resnet import DEPTHS, ResNet, ResNetVariant

RESNETS = tuple(f"{prefix}resnet{depth}" for prefix in ("", "se_", "shuffle_") for depth in DEPTHS)


def build_trunk(model: ModelConfig) -> Backbone:
    """The trunk for SimplePose, FastPose and RTMPose heads, freshly drawn.

    Raises:
        ConfigError: an unknown name, or options that this trunk does not have.
    """
    name = model.backbone
    resnet = re.fullmatch(r"(se_|shuffle_)?resnet(\d+)", name)
    if resnet and int(resnet[2]) in DEPTHS:
        attention = resnet[1] is not None or model.kind in ("fastpose", "fastpose_duc")
        variant = ResNetVariant(attention=attention, shuffle=resnet[1] == "shuffle_", deformable=model.dcn)
        if variant.shuffle and variant.deformable:
            raise ConfigError(f"model.dcn: '{name}' has no deformable stages. Set model.dcn false or take se_resnet{resnet[2]}.")
        return ResNet(int(resnet[2]), variant=variant, width=model.width)
    refuse_resnet_options(model)
    if name.startswith("timm/"):
        from poseline.models.backbones.timm import TimmBackbone

        return TimmBackbone(name.removeprefix("timm/"), input_wh=model.input_wh)
    if name in CSPNEXT_SCALES:
        return CspNext(name)
    raise unsuitable(model, (*RESNETS, *CSPNEXT_SCALES, "timm/<name>"))


def refuse_resnet_options(model: ModelConfig) -> None:
    """Pass where no option that only ResNets have is set.

    Raises:
        ConfigError: one is.
    """
    if model.dcn or model.width != 1:
        option = "dcn" if model.dcn else "width"
        raise ConfigError(f"model.{option}: only ResNets have it, got backbone '{model.backbone}'. Leave it at its default.")


def unsuitable(model: ModelConfig, choices: tuple[str, ...]) -> ConfigError:
    """The error for a backbone that does not go with the kind."""
    return ConfigError(
        f"model.backbone: '{model.backbone}' does not go with model.kind '{model.kind}'. Choose one of {', '.join(choices)}."
    )
