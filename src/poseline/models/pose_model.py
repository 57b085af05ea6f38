"""A pose model: a backbone and the head that gives what its codec decodes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec, Outputs
from poseline.codecs.build import build_codec
from poseline.config.network import HEADS, CodecConfig, ModelConfig
from poseline.errors import ConfigError
from poseline.models.backbones.base import Backbone, build_backbone
from poseline.models.heads.base import Head
from poseline.models.heads.pyramid import PyramidHead
from poseline.models.heads.regression import RegressionHead
from poseline.models.heads.simcc import SimccHead
from poseline.models.pretrained import load_backbone_weights


class PoseModel(nn.Module):
    """Images [B, 3, H, W] (RGB in 0..1, normalised) to what the codec decodes."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Outputs:
        """What the codec's ``outputs`` says.

        ``heatmaps``: [B, K, H/4, W/4]; ``bins``: logits over x bins [B, K, Wb] and over y bins [B, K, Hb]; ``coordinates``: [B, K, 4],
        coordinates from the middle in crop sizes and spreads before a sigmoid.
        """
        outputs: Outputs = self.head(self.backbone(images))
        return outputs


def build_model(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> PoseModel:
    """The network for K keypoints, in training mode, newly drawn but for the backbone's weights that ``model.weights`` names.

    Raises:
        ConfigError: parts that do not go together.
        BackendError: weights or a package that are not at hand.
        DataError: a weights file that cannot be read or does not fit.
    """
    if num_keypoints < 1:
        raise ConfigError(f"model: expected one keypoint or more, got {num_keypoints}. Check data.skeleton.")
    network = build_network(model, codec, num_keypoints)
    if model.weights != "none":
        load_backbone_weights(network.backbone, model)
    return network


def build_network(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> PoseModel:
    """The newly drawn network; ``model.weights`` is left aside.

    Raises:
        ConfigError: parts that do not go together.
    """
    kind = find_head(model)
    decoder = build_codec(codec, num_keypoints=num_keypoints, input_wh=model.input_wh)
    backbone = build_backbone(model, kind.backbone)
    return PoseModel(backbone, build_head(kind, backbone, model, decoder))


def build_empty(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> PoseModel:
    """The network with memory but no values for its weights, which the caller fills; no random number is drawn.

    Raises:
        ConfigError: parts that do not go together.
    """
    if model.backbone.startswith("timm/"):
        # Some of timm's networks hold tables that are not among their saved weights: they must be computed.
        with torch.random.fork_rng(devices=[]):
            return build_network(model, codec, num_keypoints)
    with torch.device("meta"):
        network = build_network(model, codec, num_keypoints)
    return network.to_empty(device="cpu")


def find_head(model: ModelConfig) -> type[Head]:
    """The class of the head of ``model.kind``, or of the one that ``model.head`` puts in its place.

    Raises:
        ConfigError: a head that does not go with the kind.
    """
    own = HEADS.load_class(model.kind, Head)
    if model.head == "standard":
        return own
    if model.kind not in ("simplepose", "fastpose"):
        raise ConfigError(f"model.head: pyramid goes with simplepose and fastpose, got model.kind '{model.kind}'. Set it to standard.")
    return PyramidHead


def build_head(kind: type[Head], backbone: Backbone, model: ModelConfig, codec: Codec) -> nn.Module:
    """The head itself where it gives what the codec decodes; coordinates come from the backbone, bins also from heat maps.

    Raises:
        ConfigError: it gives something else.
    """
    if not kind.can_give(codec.outputs):
        advice = "Set codec.kind to simcc, or choose another kind." if kind.outputs == "bins" else "Choose another kind or codec."
        coding = codec.config.kind
        raise ConfigError(f"model.kind: {model.kind} predicts {kind.outputs}, codec.kind {coding} decodes {codec.outputs}. {advice}")
    if kind.outputs == codec.outputs:
        return kind(backbone, model, codec)
    return RegressionHead(backbone, codec) if codec.outputs == "coordinates" else SimccHead(kind(backbone, model, codec), codec)
