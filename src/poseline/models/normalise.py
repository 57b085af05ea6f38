"""Pixels to network input."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poseline.codecs.constants import constant
from poseline.config.network import NormaliseConfig

Triple = tuple[float, float, float]


def normalise_images(images: UInt8[Tensor, "B 3 H W"], config: NormaliseConfig) -> Float[Tensor, "B 3 H W"]:
    """RGB bytes as (x / 255 - mean) / std, float32, on the tensor's device."""
    mean = constant(config.mean, images.device).view(1, 3, 1, 1)
    std = constant(config.std, images.device).view(1, 3, 1, 1)
    return (images.to(torch.float32) / 255 - mean) / std


def normalise_crops(crops: UInt8[Tensor, "B h w 3"], config: NormaliseConfig) -> Float[Tensor, "B 3 h w"]:
    """The same values from crops as images lie in memory; the result is a view of channels-last memory.

    On the CPU each byte is looked up: the same bits in a quarter of the time.
    """
    if crops.device.type != "cpu":
        return normalise_images(crops.permute(0, 3, 1, 2), config)
    table = lookup_table(config.mean, config.std)
    out = np.empty(crops.shape, np.float32)
    for crop, place in zip(crops.numpy(), out, strict=True):
        cv2.LUT(crop, table, place)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)
def lookup_table(mean: Triple, std: Triple) -> Float[np.ndarray, "1 256 3"]:
    """What becomes of each byte in each channel."""
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 256, 1).expand(1, 3, 256, 1)
    values = normalise_images(every, NormaliseConfig(mean=mean, std=std))
    return np.ascontiguousarray(values[0, :, :, 0].T.numpy())[None]
