"""The network that the configuration describes."""

from __future__ import annotations

from math import log2

from torch import nn

from poseline.config import CodecConfig, ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone
from poseline.models.fastpose import FastPose
from poseline.models.fastpose_duc import FastPoseDuc
from poseline.models.hardnet import DECODERS, HarDNet, HarDNetPose
from poseline.models.heads import RegressionPose, SimccPose
from poseline.models.hrnet import HRNET_WIDTHS, HRNet, HRNetPose
from poseline.models.pretrained import load_backbone_weights
from poseline.models.rtmpose import RtmPose
from poseline.models.simplepose import PyramidPose, SimplePose
from poseline.models.trunks import build_trunk, unsuitable
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


def build_heatmap_network(model: ModelConfig, num_keypoints: int) -> nn.Module:
    """A network whose forward gives heat maps [B, K, H/4, W/4].

    Raises:
        ConfigError: parts that do not go together.
    """
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
            return HRNetPose(named(model, HRNET_WIDTHS), num_keypoints)
        case "hardnet":
            return HarDNetPose(model.backbone if named(model, DECODERS) else "", num_keypoints)
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
            return HRNet(named(model, HRNET_WIDTHS))
        case "hardnet":
            return HarDNet(model.backbone if named(model, DECODERS) else "")
        case "vitpose":
            return build_vit(model)
