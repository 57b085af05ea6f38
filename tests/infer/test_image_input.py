"""The array that an ONNX network is fed: order of channels, normalisation, layout, type."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.config.network import NormaliseConfig
from poseline.infer.image_input import ImageFeed
from poseline.infer.sessions import Port

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
BYTES = NormaliseConfig(mean=(0.0, 0.0, 0.0), std=(1 / 255,) * 3)


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_values_are_normalised_in_the_networks_order(bgr: bool, channels_last: bool, dtype: str) -> None:
    normalise = NormaliseConfig()
    port = Port("x", (None, 5, 7, 3) if channels_last else (None, 3, 5, 7), dtype)
    found = ImageFeed(port, normalise, bgr=bgr)(IMAGES)
    real = (IMAGES / 255 - np.array(normalise.mean)) / np.array(normalise.std)
    real = real[..., ::-1] if bgr else real
    expected = real if channels_last else real.transpose(0, 3, 1, 2)
    assert (found.dtype.name, found.flags.c_contiguous) == (dtype, True)
    np.testing.assert_allclose(found, expected, atol=2e-3 if dtype == "float16" else 1e-6)


def test_bytes_stay_as_they_are() -> None:
    for dtype in ("float32", "uint8", "int32"):
        found = ImageFeed(Port("x", (1, 5, 7, 3), dtype), BYTES, bgr=False)(IMAGES)
        assert found.dtype.name == dtype
        assert (found == IMAGES).all()
    assert (ImageFeed(Port("x", (1, 3, 5, 7), "float32"), BYTES, bgr=True)(IMAGES)[:, 0] == IMAGES[..., 2]).all()
