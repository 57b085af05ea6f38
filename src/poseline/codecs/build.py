"""The codec of a configuration."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from poseline.codecs.base import HEATMAP_STRIDE, Codec
from poseline.codecs.heatmap import HeatmapCodec
from poseline.codecs.integral import CombinedCodec, IntegralCodec
from poseline.codecs.regression import RegressionCodec
from poseline.codecs.simcc import SimccCodec
from poseline.config.network import CodecConfig, HeatmapConfig
from poseline.errors import ConfigError


def build_codec(config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> Codec:
    """The codec of a configuration section.

    Args:
        config: the codec section.
        num_keypoints: K of the skeleton.
        input_wh: width and height of the network's input, pixels.

    Raises:
        ConfigError: the input is no multiple of 4, or udp is asked for in the legacy geometry.
    """
    if any(side < HEATMAP_STRIDE or side % HEATMAP_STRIDE for side in input_wh):
        raise ConfigError(f"model.input_wh: both sides must be multiples of {HEATMAP_STRIDE}, got {list(input_wh)}")
    match config.kind:
        case "heatmap":
            return HeatmapCodec(config, config.heatmap, num_keypoints=num_keypoints, input_wh=input_wh)
        case "udp":
            if config.geometry == "legacy":
                raise ConfigError("codec.geometry: udp is always unbiased, got legacy. Set codec.kind=heatmap for legacy weights.")
            options = HeatmapConfig(sigma=config.udp.sigma, centre="subpixel", refine="dark", dark_kernel=config.udp.kernel)
            return HeatmapCodec(config, options, num_keypoints=num_keypoints, input_wh=input_wh)
        case "integral":
            return IntegralCodec(config, num_keypoints=num_keypoints, input_wh=input_wh)
        case "combined":
            if config.combined.integral_last >= num_keypoints:
                raise ConfigError(
                    f"codec.combined.integral_last: expected less than the skeleton's {num_keypoints} keypoints, "
                    f"got {config.combined.integral_last}"
                )
            return CombinedCodec(config, num_keypoints=num_keypoints, input_wh=input_wh)
        case "simcc":
            return SimccCodec(config, num_keypoints=num_keypoints, input_wh=input_wh)
        case "regression":
            return RegressionCodec(config, num_keypoints=num_keypoints, input_wh=input_wh)


def check_pairs(config: CodecConfig, flip_permutation: Int[np.ndarray, " K"]) -> None:
    """Refuse a ``combined`` codec whose border lies between a left and a right keypoint: its flip test could not swap them.

    Raises:
        ConfigError: names the pair.
    """
    if config.kind != "combined":
        return
    first = len(flip_permutation) - config.combined.integral_last
    for keypoint, other in enumerate(flip_permutation.tolist()):
        if keypoint < first <= other:
            raise ConfigError(
                f"codec.combined.integral_last: {config.combined.integral_last} parts keypoints {keypoint} and {other}, left and right "
                "of one pair. Choose a border that leaves pairs together."
            )
