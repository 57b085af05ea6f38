"""Pixels to network input."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poseline.codecs.constants import constant
from poseline.config.network import NormaliseConfig


def normalise_images(images: UInt8[Tensor, "B 3 H W"], config: NormaliseConfig) -> Float[Tensor, "B 3 H W"]:
    """RGB bytes as (x / 255 - mean) / std, float32, on the tensor's device."""
    mean = constant(config.mean, images.device).view(1, 3, 1, 1)
    std = constant(config.std, images.device).view(1, 3, 1, 1)
    return (images.to(torch.float32) / 255 - mean) / std
