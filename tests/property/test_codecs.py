"""Laws that every codec keeps: encoding is undone by decoding, and both commute with the flip."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poseline.codecs.base import Codec
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, CombinedConfig, HeatmapConfig, SimccConfig
from poseline.core.skeletons import load_skeleton

INPUT_WH = (192, 256)
FLIP = load_skeleton("coco17").flip_permutation
K = len(FLIP)
WHOLE_CROP = st.lists(
    st.tuples(st.floats(0, INPUT_WH[0] - 1, width=32), st.floats(0, INPUT_WH[1] - 1, width=32)), min_size=K, max_size=K
)
UNBIASED = {
    "udp": CodecConfig(kind="udp"),
    "dark": CodecConfig(kind="heatmap", heatmap=HeatmapConfig(centre="subpixel", refine="dark")),
    "quarter": CodecConfig(kind="heatmap", heatmap=HeatmapConfig(centre="subpixel", refine="quarter")),
    "integral": CodecConfig(kind="integral"),
    "simcc": CodecConfig(kind="simcc"),
    "combined": CodecConfig(kind="combined", combined=CombinedConfig(integral_last=6)),
    "regression": CodecConfig(kind="regression"),
}


def make(config: CodecConfig) -> Codec:
    return build_codec(config, num_keypoints=K, input_wh=INPUT_WH)


def batch(points: list[tuple[float, float]]) -> Tensor:
    return torch.tensor(points, dtype=torch.float32)[None]


def flipped_points(points: Tensor) -> Tensor:
    return torch.stack([INPUT_WH[0] - 1 - points[..., 0], points[..., 1]], dim=-1)[:, FLIP]


@pytest.mark.parametrize(
    ("config", "limit_px"),
    [
        (UNBIASED["udp"], 0.05),
        (UNBIASED["dark"], 0.05),
        (CodecConfig(kind="heatmap", geometry="published"), 0.05),
        (CodecConfig(kind="simcc", simcc=SimccConfig(split_ratio=2.0)), 0.05),
        (CodecConfig(kind="simcc", geometry="published", simcc=SimccConfig(split_ratio=2.0)), 0.05),
        (CodecConfig(kind="regression"), 1e-3),
    ],
    ids=["udp", "dark", "dark-published", "simcc", "simcc-published", "regression"],
)
@settings(max_examples=40, deadline=None)
@given(points=WHOLE_CROP)
def test_decoding_undoes_encoding(config: CodecConfig, limit_px: float, points: list[tuple[float, float]]) -> None:
    codec, keypoints = make(config), batch(points)
    values = codec.encode(keypoints, torch.ones(1, K)).values
    # A regressing network gives spreads beside the coordinates; a small one means high confidence.
    decoded, scores = codec.decode(torch.cat([values, values - values - 5], dim=-1) if config.kind == "regression" else values)
    assert (decoded - keypoints).norm(dim=-1).max() < limit_px
    assert scores.min() > 0.8


@pytest.mark.parametrize("kind", sorted(UNBIASED.keys() - {"combined"}))  # made of two kinds that are in the list
@settings(max_examples=20, deadline=None)
@given(points=WHOLE_CROP)
def test_flip_commutes_with_encoding(kind: str, points: list[tuple[float, float]]) -> None:
    codec, keypoints, weights = make(UNBIASED[kind]), batch(points), torch.ones(1, K)
    straight, flipped = codec.encode(keypoints, weights).values, codec.encode(flipped_points(keypoints), weights).values
    if kind in ("integral", "regression"):
        torch.testing.assert_close(torch.stack([-flipped[..., 0], flipped[..., 1]], dim=-1)[:, FLIP], straight, atol=1e-6, rtol=0)
        return
    torch.testing.assert_close(codec.flip(flipped, FLIP), straight, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", sorted(UNBIASED))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_flip_commutes_with_decoding(kind: str, seed: int) -> None:
    codec = make(UNBIASED[kind])
    rng = torch.Generator().manual_seed(seed)
    made = tuple(torch.rand(1, *shape, generator=rng) for shape in codec.output_shapes)
    outputs = made if len(made) > 1 else made[0]
    points, scores = codec.decode(outputs)
    flipped, flipped_scores = codec.decode(codec.flip(outputs, FLIP))
    torch.testing.assert_close(flipped, flipped_points(points), atol=1e-2, rtol=0)
    torch.testing.assert_close(flipped_scores, scores[:, FLIP], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", sorted(UNBIASED))
def test_flipping_twice_changes_nothing(kind: str) -> None:
    codec = make(UNBIASED[kind])
    made = tuple(torch.rand(2, *shape, generator=torch.Generator().manual_seed(1)) for shape in codec.output_shapes)
    outputs = made if len(made) > 1 else made[0]
    torch.testing.assert_close(codec.flip(codec.flip(outputs, FLIP), FLIP), outputs)
