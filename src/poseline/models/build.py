"""The network that the configuration describes."""

from __future__ import annotations

from collections.abc import Collection
from math import log2

import torch
from torch import nn

from poseline.config import CodecConfig, ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.build import build_trunk, refuse_resnet_options, unsuitable
from poseline.models.fastpose import FastPose
from poseline.models.fastpose_duc import FastPoseDuc
from poseline.models.hardnet import DECODERS, HarDNet, HarDNetPose
from poseline.models.heads import RegressionPose, SimccPose
from poseline.models.hrnet import HRNET_WIDTHS, HRNet, HRNetPose
from poseline.models.pretrained import load_backbone_weights
from poseline.models.rtmpose import RtmPose
from poseline.models.simplepose import PyramidPose, SimplePose
from poseline.models.vitpose import VIT_SIZES, PlainViT, ViTPose


def build_model(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> nn.Module:
    """The network for K keypoints, in training mode, newly drawn but for the trunk's weights that ``model.weights`` names.

    Its forward takes images [B, 3, H, W] (RGB in 0..1, normalised) and returns what the codec decodes: heat maps
    [B, K, H/4, W/4]; for ``simcc`` logits over x bins [B, K, Wb] and over y bins [B, K, Hb]; for ``regression``
    [B, K, 4], coordinates from the middle in crop sizes and spreads before a sigmoid.

    Raises:
        ConfigError: parts that do not go together.
        BackendError: weights or a package that are not at hand.
        DataError: a weights file that cannot be read or does not fit.
    """
    if num_keypoints < 1:
        raise ConfigError(f"model: expected one keypoint or more, got {num_keypoints}. Check data.skeleton.")
    network = build_network(model, codec, num_keypoints)
    if model.weights != "none":
        load_backbone_weights(network, model)
    return network


def build_network(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> nn.Module:
    """The newly drawn network; ``model.weights`` is left aside.

    Raises:
        ConfigError: parts that do not go together.
    """
    match codec.kind:
        case "heatmap" | "udp" | "integral" | "combined":
            return build_heatmap_network(model, num_keypoints)
        case "simcc" if model.kind == "rtmpose":
            return RtmPose(build_trunk(model), num_keypoints, input_wh=model.input_wh, bins_xy=simcc_bins(model, codec))
        case "simcc":
            width, height = model.input_wh
            network = build_heatmap_network(model, num_keypoints)
            return SimccPose(network, map_hw=(height // 4, width // 4), bins_xy=simcc_bins(model, codec))
        case "regression":
            return RegressionPose(build_features(model), num_keypoints)


def build_empty(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> nn.Module:
    """The network with memory but no values for its weights, which the caller fills; no random number is drawn.

    Raises:
        ConfigError: parts that do not go together.
    """
    if model.backbone.startswith("timm/"):
        # Some of timm's networks hold tables that are not among their saved weights: they must be made in earnest.
        with torch.random.fork_rng(devices=[]):
            return build_network(model, codec, num_keypoints)
    with torch.device("meta"):
        network = build_network(model, codec, num_keypoints)
    return network.to_empty(device="cpu")


def build_heatmap_network(model: ModelConfig, num_keypoints: int) -> nn.Module:
    """A network whose forward gives heat maps [B, K, H/4, W/4].

    Raises:
        ConfigError: parts that do not go together.
    """
    if model.head == "pyramid" and model.kind not in ("simplepose", "fastpose"):
        raise ConfigError(f"model.head: pyramid goes with simplepose and fastpose, got model.kind '{model.kind}'. Set it to standard.")
    match model.kind:
        case "simplepose" | "fastpose" if model.head == "pyramid":
            return PyramidPose(build_trunk(model), num_keypoints, channels=model.deconv_channels[-1])
        case "simplepose":
            trunk = build_trunk(model)
            return SimplePose(trunk, num_keypoints, channels=deconv_plan(model, trunk))
        case "fastpose":
            return FastPose(strided_trunk(model, (16, 32)), num_keypoints, conv_dim=model.conv_dim)
        case "fastpose_duc":
            return FastPoseDuc(strided_trunk(model, (32,)), num_keypoints)
        case "hrnet":
            return HRNetPose(HRNET_WIDTHS[own_backbone(model, HRNET_WIDTHS)], num_keypoints)
        case "hardnet":
            return HarDNetPose(own_backbone(model, DECODERS), num_keypoints)
        case "vitpose":
            return ViTPose(build_vit(model), num_keypoints, decoder=model.decoder)
        case "rtmpose":
            raise ConfigError("model.kind: rtmpose predicts bins, not heat maps. Set codec.kind to simcc, or choose another kind.")


def build_features(model: ModelConfig) -> Backbone:
    """The part of the network that ends in feature maps, for a head that pools them.

    Raises:
        ConfigError: parts that do not go together.
    """
    match model.kind:
        case "simplepose" | "fastpose" | "fastpose_duc" | "rtmpose":
            return build_trunk(model)
        case "hrnet":
            return HRNet(HRNET_WIDTHS[own_backbone(model, HRNET_WIDTHS)])
        case "hardnet":
            return HarDNet(own_backbone(model, DECODERS))
        case "vitpose":
            return build_vit(model)


def build_vit(model: ModelConfig) -> PlainViT:
    """The plain vision transformer that ``model.backbone`` names.

    Raises:
        ConfigError: not one of those.
        BackendError: timm is not installed.
    """
    return PlainViT(own_backbone(model, VIT_SIZES), input_wh=model.input_wh, drop_path=model.drop_path)


def own_backbone(model: ModelConfig, choices: Collection[str]) -> str:
    """The backbone's name, checked against those that the kind is made of.

    Raises:
        ConfigError: not one of those, or an option that only ResNets have.
    """
    if model.backbone not in choices:
        raise unsuitable(model, tuple(choices))
    refuse_resnet_options(model)
    return model.backbone


def strided_trunk(model: ModelConfig, strides: tuple[int, ...]) -> Backbone:
    """The trunk, checked to end at one of these strides.

    Raises:
        ConfigError: it ends at another.
    """
    trunk = build_trunk(model)
    if trunk.strides[-1] not in strides:
        expected = " or ".join(str(stride) for stride in strides)
        raise ConfigError(
            f"model.backbone: {model.kind} expects a trunk of stride {expected}, '{model.backbone}' ends at {trunk.strides[-1]}. "
            "Choose another, or model.kind simplepose."
        )
    return trunk


def deconv_plan(model: ModelConfig, trunk: Backbone) -> tuple[int, ...]:
    """Channels of the transposed convolutions that bring the trunk's last map to a quarter of the input.

    A trunk of stride 16 takes the last two of three counts.

    Raises:
        ConfigError: too few counts, or more than three.
    """
    doublings = int(log2(trunk.strides[-1] // 4))
    given = model.deconv_channels
    if not doublings <= len(given) <= max(doublings, 3):
        raise ConfigError(
            f"model.deconv_channels: expected {doublings} counts for a trunk of stride {trunk.strides[-1]}, got {list(given)}"
        )
    return given[len(given) - doublings :]


def simcc_bins(model: ModelConfig, codec: CodecConfig) -> tuple[int, int]:
    """Bins along x and y: input pixels times the split ratio, to the nearest whole number."""
    width, height = model.input_wh
    return round(width * codec.simcc.split_ratio), round(height * codec.simcc.split_ratio)
