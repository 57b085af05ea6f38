"""The base of all codecs, the targets that they make, and what they share: flip, accuracy, scales between grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from poseline.codecs.constants import constant
from poseline.config.network import CodecConfig
from poseline.core.geometry import Geometry, grid_scale

HEATMAP_STRIDE = 4
"""Input pixels per heat-map cell: heat maps are a quarter of the input."""

Outputs: TypeAlias = Tensor | tuple[Tensor, ...]
FlipPermutation: TypeAlias = Int[np.ndarray, " K"] | Int[Tensor, " K"]


@dataclass(frozen=True)
class Targets:
    """The training targets of one batch.

    Attributes:
        values: heat maps [B, K, h, w]; or label vectors (x [B, K, bins_x], y [B, K, bins_y]); or coordinates [B, K, 2]
            in crop sizes from the middle; or (heat maps of the body, coordinates of the rest).
        weights: float [B, K]; 0 where a keypoint is unlabelled or too far outside the crop to be drawn.
    """

    values: Outputs
    weights: Float[Tensor, "B K"]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Targets:
        """The same targets on another device."""
        if isinstance(self.values, Tensor):
            values: Outputs = self.values.to(device, non_blocking=non_blocking)
        else:
            values = tuple(value.to(device, non_blocking=non_blocking) for value in self.values)
        return Targets(values, self.weights.to(device, non_blocking=non_blocking))


class Codec:
    """Turns keypoints into a network's targets and its outputs into keypoints; batched, on the tensors' device.

    A codec of another package is a subclass named by an entry point of the group ``poseline.codecs``, with its options as ``Config``.

    Attributes:
        outputs: what it decodes, as a head names what it gives: ``heatmaps``, ``bins`` or ``coordinates``.
        losses: the values of ``loss.kind`` that fit its targets; the first is what ``auto`` takes.
        output_shapes: shape of each output tensor of the network, without the batch axis; set by each kind, heat maps by default.

    Args:
        config: the codec section.
        num_keypoints: K.
        input_wh: width and height of the network's input, pixels.
    """

    outputs: ClassVar[str] = "heatmaps"
    losses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: CodecConfig, *, num_keypoints: int, input_wh: tuple[int, int]) -> None:
        self.config = config
        self.num_keypoints = num_keypoints
        self.input_wh = input_wh
        self.heatmap_wh = (input_wh[0] // HEATMAP_STRIDE, input_wh[1] // HEATMAP_STRIDE)
        self.output_shapes: tuple[tuple[int, ...], ...] = ((num_keypoints, self.heatmap_wh[1], self.heatmap_wh[0]),)

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Targets of keypoints in input pixels."""
        raise NotImplementedError

    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, float32, and their scores."""
        raise NotImplementedError

    def flip(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """The output of a flipped input as the output of the input itself; for maps, their mirror image."""
        return flip_bins(single(outputs), flip_permutation, from_width=self.input_wh[0], geometry=self.config.geometry)

    def average(self, outputs: Outputs, flipped: Outputs) -> Outputs:
        """The output of the flip test: the mean of an output and a flipped-back one."""
        return average_outputs(outputs, flipped)

    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Fraction of keypoints within a twentieth of the crop, mean over keypoints; weight by batch size over batches."""
        raise NotImplementedError

    def check_pairs(self, flip_permutation: Int[np.ndarray, " K"]) -> None:
        """Pass where the flip test can swap every left keypoint with its right one.

        Raises:
            ConfigError: names a pair that it cannot swap.
        """


def single(outputs: Outputs) -> Tensor:
    """The one tensor of an output that must be one.

    Raises:
        ValueError: several tensors, as a network with another head gives.
    """
    if not isinstance(outputs, Tensor):
        raise ValueError(f"expected one output tensor, got {len(outputs)}: the model's head does not fit codec.kind")
    return outputs


def average_outputs(outputs: Outputs, flipped: Outputs) -> Outputs:
    """The element-wise mean of two outputs of the same shapes.

    >>> average_outputs(torch.tensor([1.0]), torch.tensor([2.0])).tolist()
    [1.5]
    """
    if isinstance(outputs, Tensor) and isinstance(flipped, Tensor):
        return (outputs + flipped) * 0.5
    return tuple((a + b) * 0.5 for a, b in zip(outputs, flipped, strict=True))


def as_index(permutation: FlipPermutation, device: torch.device) -> Int[Tensor, " K"]:
    """A permutation as an index tensor on a device."""
    return torch.as_tensor(permutation, dtype=torch.long, device=device)


def flip_bins(
    maps: Float[Tensor, "B K *rest bins"], flip_permutation: FlipPermutation, *, from_width: int, geometry: Geometry
) -> Float[Tensor, "B K *rest bins"]:
    """Maps of a flipped input, reversed along their last axis with left and right keypoints swapped.

    In the published geometry the flip of the input is not the flip of the grid: the point x of W pixels lies at s x of
    W s bins, its mirror image at (W - 1 - x) s, so the reversed axis is off by 1 - s bins. Maps are moved by the nearest
    whole number (1 for heat maps of a quarter, -1 for two bins a pixel); the border bin keeps its value.

    Args:
        maps: outputs on the flipped input.
        flip_permutation: index array that swaps left and right.
        from_width: input width, pixels.
        geometry: the codec's.

    >>> flip_bins(torch.arange(4.0).view(1, 1, 4), np.array([0]), from_width=16, geometry="published").tolist()
    [[[3.0, 3.0, 2.0, 1.0]]]
    """
    bins = maps.shape[-1]
    positions = torch.arange(bins - 1, -1, -1, device=maps.device)
    if geometry == "published":
        shift = round(1 - grid_scale((from_width, 1), (bins, 1), geometry="published")[0])
        source = (torch.arange(bins, device=maps.device) - shift).clamp(0, bins - 1)
        positions = positions[source]
    return maps.index_select(1, as_index(flip_permutation, maps.device)).index_select(-1, positions)


def pck_accuracy(predicted: Float[Tensor, "B K 2"], labelled: Float[Tensor, "B K 2"], grid_wh: tuple[int, int]) -> Float[Tensor, ""]:
    """Fraction of labelled keypoints that are found, mean per keypoint over the batch, then over the keypoints that occur.

    A keypoint counts where both its label's coordinates exceed 1 (an unlabelled one lies at 0); it is found within half
    of a tenth of the grid along each axis.

    Args:
        predicted: grid coordinates.
        labelled: grid coordinates, (0, 0) where unlabelled.
        grid_wh: width and height of the grid.

    >>> label = torch.tensor([[[10.0, 10.0], [0.0, 0.0]]])
    >>> pck_accuracy(torch.tensor([[[11.0, 10.0], [5.0, 5.0]]]), label, (48, 64)).item()
    1.0
    """
    unit = constant(grid_wh, predicted.device) / 10
    distance = torch.linalg.vector_norm((predicted - labelled) / unit, dim=-1)
    counted = (labelled > 1).all(dim=-1)
    found = ((distance < 0.5) & counted).sum(dim=0).float()
    occurrences = counted.sum(dim=0)
    occurring = occurrences > 0
    per_keypoint: Tensor = found / occurrences.clamp(min=1)
    accuracy: Tensor = per_keypoint.sum() / occurring.sum().clamp(min=1)
    return accuracy


def point_scale(from_wh: tuple[int, int], to_wh: tuple[int, int], geometry: Geometry, like: Tensor) -> Float[Tensor, " 2"]:
    """Factors (x, y) between two grids as a float32 tensor on the device of ``like``."""
    return constant(grid_scale(from_wh, to_wh, geometry=geometry), like.device)


def relative_spans(grid_wh: tuple[int, int], geometry: Geometry, like: Tensor) -> Float[Tensor, " 2"]:
    """Extent of a grid along x and y: between its outer pixel centres, or in the published geometry the number of pixels."""
    less = 0 if geometry == "published" else 1
    return constant([max(side - less, 1) for side in grid_wh], like.device)
