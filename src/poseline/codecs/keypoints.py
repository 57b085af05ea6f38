"""Outputs that are keypoints already: networks that decode themselves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, FlipPermutation, Outputs, as_index, relative_spans
from poseline.config.network import CodecConfig


class KeypointsCodec(Codec):
    """Keypoints and scores as the network gives them; decodes only, so nothing can be trained with it.

    The outputs are one tensor [B, K, C] (or [B, 1, K, C]) whose last axis is ``codec.keypoints.order``, or two: coordinates [B, K, 2] and
    scores [B, K].
    """

    outputs = "keypoints"

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__(config, num_keypoints=num_keypoints, input_wh=input_wh)
        self.options = config.keypoints
        columns = len(self.options.order)
        joint = "s" in self.options.order
        self.output_shapes = ((num_keypoints, columns),) if joint else ((num_keypoints, columns), (num_keypoints,))

    @torch.no_grad()
    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, float32, and their scores in 0..1."""
        points, scores = self._parts(outputs)
        if self.options.units == "fraction":
            points = points * relative_spans(self.input_wh, self.config.geometry, points)
        return points, scores.clamp(0, 1)

    def _parts(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        values = (outputs if isinstance(outputs, Tensor) else outputs[0]).float()
        values = values.reshape(len(values), self.num_keypoints, len(self.options.order))
        columns = {axis: values[..., index] for index, axis in enumerate(self.options.order)}
        points = torch.stack([columns["x"], columns["y"]], dim=-1)
        if "s" in columns:
            return points, columns["s"]
        assert not isinstance(outputs, Tensor), "order names no score, so there is a second output"
        return points, outputs[1].float().reshape(len(values), self.num_keypoints)

    def flip(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """Keypoints of a flipped input as keypoints of the input: coordinates and scores, two tensors in the network's units."""
        points, scores = self._parts(outputs)
        index = as_index(flip_permutation, points.device)
        # Pixels go to W - 1 - x; fractions are of the extent that the geometry gives to a crop.
        extent = float(relative_spans(self.input_wh, self.config.geometry, points)[0]) if self.options.units == "fraction" else 1.0
        span = (self.input_wh[0] - 1) / extent
        mirrored = torch.stack([span - points[..., 0], points[..., 1]], dim=-1)
        return mirrored.index_select(1, index), scores.index_select(1, index)

    def average(self, outputs: Outputs, flipped: Outputs) -> Outputs:
        """The mean of the keypoints of an output and a flipped-back one, in the layout of the output."""
        points, scores = self._parts(outputs)
        assert not isinstance(flipped, Tensor), "flipped back by this codec"
        points, scores = (points + flipped[0]) * 0.5, (scores + flipped[1]) * 0.5
        parts = {"x": points[..., 0], "y": points[..., 1], "s": scores}
        values = torch.stack([parts[axis] for axis in self.options.order], dim=-1)
        return values if "s" in self.options.order else (values, scores)
