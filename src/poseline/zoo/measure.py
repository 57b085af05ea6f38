"""Size and cost of any network, counted without memory for its weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from poseline.config import CodecConfig, ModelConfig
from poseline.models.pose_model import build_network


@lru_cache(maxsize=256)
def measure(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> tuple[int, float]:
    """Parameters, and 10^9 multiply-adds of one forward pass, of the network of a configuration."""
    with torch.device("meta"):
        network = build_network(model, codec, num_keypoints).eval()
        image = torch.empty(1, 3, model.input_wh[1], model.input_wh[0])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    drop_uncounted(network)
    formulas: dict[object, Callable[..., int]] = {torch.ops.torchvision.deform_conv2d: deform_flops}
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        network(image)
    return parameters, counter.get_total_flops() / 2e9


def drop_uncounted(network: nn.Module) -> None:
    """Take out, in place, layers that hold no multiply-adds by convention: tracing them takes most of the time."""
    for part in network.modules():
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.LayerNorm | nn.ReLU | nn.SiLU):
                setattr(part, name, nn.Identity())


def deform_flops(input_shape: tuple[int, ...], weight_shape: tuple[int, ...], *_: object, out_shape: tuple[int, ...], **__: object) -> int:
    """Operations (two a multiply-add) of a deformable convolution, its bilinear samples left out."""
    return 2 * prod(out_shape) * prod(weight_shape[1:])
