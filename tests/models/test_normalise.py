"""Pixels to network input, by arithmetic and by table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseline.config.network import NormaliseConfig
from poseline.models.normalise import normalise_crops, normalise_images


@pytest.mark.parametrize("config", [NormaliseConfig(), NormaliseConfig(mean=(0.0, 0.1, 0.2), std=(1 / 255, 0.5, 1.0))])
def test_the_table_gives_the_bits_of_the_arithmetic(config: NormaliseConfig) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 40, 30, 3), dtype=np.uint8)
    crops[0, :, :16] = np.arange(640).reshape(40, 16, 1) % 256  # every byte
    expected = normalise_images(torch.from_numpy(crops).permute(0, 3, 1, 2), config)
    found = normalise_crops(torch.from_numpy(crops), config)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()
    assert normalise_crops(torch.from_numpy(crops[:0]), config).shape == (0, 3, 40, 30)
