"""Networks that decode themselves: every order of x, y and score, both units, and the flip test."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseline.codecs.build import build_codec
from poseline.codecs.keypoints import KeypointsCodec
from poseline.config import CodecConfig
from poseline.core.skeletons import load_skeleton

SIZE = (64, 96)
POINTS = torch.rand(3, 17, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([63.0, 95.0])
SCORES = torch.rand(3, 17, generator=torch.Generator().manual_seed(1))


def codec_of(order: str, units: str, geometry: str) -> KeypointsCodec:
    config = CodecConfig.model_validate({"kind": "keypoints", "geometry": geometry, "keypoints": {"order": order, "units": units}})
    codec = build_codec(config, num_keypoints=17, input_wh=SIZE)
    assert isinstance(codec, KeypointsCodec)
    return codec


def network_gives(order: str, units: str, geometry: str) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """What a network of that kind gives for POINTS and SCORES."""
    spans = torch.tensor([64.0, 96.0]) - int(geometry == "unbiased")
    points = POINTS / spans if units == "fraction" else POINTS
    columns = {"x": points[..., 0], "y": points[..., 1], "s": SCORES}
    values = torch.stack([columns[axis] for axis in order], dim=-1)
    return values if "s" in order else (values, SCORES)


@pytest.mark.parametrize("geometry", ["unbiased", "published"])
@pytest.mark.parametrize("units", ["pixels", "fraction"])
@pytest.mark.parametrize("order", ["xys", "yxs", "sxy", "syx", "xy", "yx"])
def test_decode_and_flip(order: str, units: str, geometry: str) -> None:
    codec, given = codec_of(order, units, geometry), network_gives(order, units, geometry)
    points, scores = codec.decode(given)
    torch.testing.assert_close(points, POINTS, atol=1e-4, rtol=0)
    torch.testing.assert_close(scores, SCORES)
    permutation = load_skeleton("coco17").flip_permutation
    # What the network would give for the mirrored crop: x goes to W - 1 - x, left and right change places.
    mirrored = POINTS[:, permutation] * torch.tensor([-1.0, 1.0]) + torch.tensor([63.0, 0.0])
    spans = torch.tensor([64.0, 96.0]) - int(geometry == "unbiased")
    there = mirrored / spans if units == "fraction" else mirrored
    columns = {"x": there[..., 0], "y": there[..., 1], "s": SCORES[:, permutation]}
    values = torch.stack([columns[axis] for axis in order], dim=-1)
    flipped = codec.flip(values if "s" in order else (values, SCORES[:, permutation]), permutation)
    both, both_scores = codec.decode(codec.average(given, flipped))
    torch.testing.assert_close(both, POINTS, atol=1e-4, rtol=0)
    torch.testing.assert_close(both_scores, SCORES)


def test_an_axis_for_the_person_and_scores_outside() -> None:
    codec = codec_of("yxs", "fraction", "published")
    given = network_gives("yxs", "fraction", "published")
    assert isinstance(given, torch.Tensor)
    torch.testing.assert_close(codec.decode(given[:, None])[0], POINTS, atol=1e-4, rtol=0)
    assert codec.decode(given * torch.tensor([1, 1, 9.0]))[1].max() == 1


def test_it_is_not_for_training() -> None:
    from poseline.config import ModelConfig
    from poseline.errors import ConfigError
    from poseline.models.pose_model import build_model

    with pytest.raises(ConfigError, match=r"simplepose predicts heatmaps, codec.kind keypoints decodes keypoints"):
        build_model(ModelConfig(), CodecConfig(kind="keypoints"), 17)
    with pytest.raises(NotImplementedError):
        codec_of("xys", "pixels", "unbiased").encode(POINTS, torch.from_numpy(np.ones((3, 17), np.float32)))
