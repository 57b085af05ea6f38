"""The codec of a configuration."""

from __future__ import annotations

from poseline.codecs.base import HEATMAP_STRIDE, Codec
from poseline.config.network import CODECS, CodecConfig
from poseline.errors import ConfigError


def build_codec(config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> Codec:
    """The codec of a configuration section for K keypoints and a network input of ``input_wh`` pixels.

    Raises:
        ConfigError: the input is no multiple of 4, or the codec's options do not go together.
        BackendError: a codec of another package that cannot be loaded.
    """
    if any(side < HEATMAP_STRIDE or side % HEATMAP_STRIDE for side in input_wh):
        raise ConfigError(f"model.input_wh: both sides must be multiples of {HEATMAP_STRIDE}, got {list(input_wh)}")
    return CODECS.load_class(config.kind, Codec)(config, num_keypoints=num_keypoints, input_wh=input_wh)
