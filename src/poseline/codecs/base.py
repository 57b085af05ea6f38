"""What every codec shares: the targets it makes, the promise it keeps, and the flip and accuracy rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from poseline.config.network import CodecConfig
from poseline.core.geometry import Geometry, grid_scale

HEATMAP_STRIDE = 4
"""Input pixels per heat-map cell: every network of ours gives maps of a quarter of its input."""

Outputs: TypeAlias = Tensor | tuple[Tensor, ...]
FlipPermutation: TypeAlias = Int[np.ndarray, " K"] | Int[Tensor, " K"]


@dataclass(frozen=True)
class Targets:
    """What a network is asked for on one batch.

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


@runtime_checkable
class Codec(Protocol):
    """Turns keypoints into a network's targets and its outputs into keypoints; batched, on the tensors' device.

    Attributes:
        config: the section it was built from.
        num_keypoints: K.
        input_wh: width and height of the network's input, pixels.
        output_shapes: shape of each output tensor of the network, without the batch axis.
    """

    config: CodecConfig
    num_keypoints: int
    input_wh: tuple[int, int]
    output_shapes: tuple[tuple[int, ...], ...]

    def encode(self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "B K"]) -> Targets:
        """Targets of keypoints in input pixels."""
        ...

    def decode(self, outputs: Outputs) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """Keypoints in input pixels, float32, and their scores."""
        ...

    def mirror(self, outputs: Outputs, flip_permutation: FlipPermutation) -> Outputs:
        """The output made on a mirrored input, as if it had been made on the input itself."""
        ...

    def average(self, outputs: Outputs, mirrored: Outputs) -> Outputs:
        """The flip test's output: the mean of an output and a mirrored-back one."""
        ...

    def accuracy(self, outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
        """Share of keypoints within a twentieth of the crop, mean over keypoints; weigh by batch size over batches."""
        ...


def average_outputs(outputs: Outputs, mirrored: Outputs) -> Outputs:
    """The element-wise mean of two outputs of one form.

    >>> average_outputs(torch.tensor([1.0]), torch.tensor([2.0])).tolist()
    [1.5]
    """
    if isinstance(outputs, Tensor) and isinstance(mirrored, Tensor):
        return (outputs + mirrored) * 0.5
    return tuple((a + b) * 0.5 for a, b in zip(outputs, mirrored, strict=True))


def as_index(permutation: FlipPermutation, device: torch.device) -> Int[Tensor, " K"]:
    """A permutation as an index tensor on a device."""
    return torch.as_tensor(permutation, dtype=torch.long, device=device)


def mirror_bins(
    maps: Float[Tensor, "B K *rest bins"], flip_permutation: FlipPermutation, *, from_width: int, geometry: Geometry
) -> Float[Tensor, "B K *rest bins"]:
    """Maps of a mirrored input, mirrored back along their last axis with left and right keypoints swapped.

    Under the legacy geometry a mirror is not the mirror of the grid: the point x of W pixels lies at s x of W s bins,
    its mirror image at (W - 1 - x) s, so that the reversed axis is off by 1 - s bins. They are moved by the nearest
    whole number (1 for heat maps of a quarter, -1 for two bins a pixel); the border bin keeps its value.

    Args:
        maps: outputs on the mirrored input.
        flip_permutation: index array that swaps left and right.
        from_width: input width, pixels.
        geometry: the codec's.

    >>> mirror_bins(torch.arange(4.0).view(1, 1, 4), np.array([0]), from_width=16, geometry="legacy").tolist()
    [[[3.0, 3.0, 2.0, 1.0]]]
    """
    bins = maps.shape[-1]
    positions = torch.arange(bins - 1, -1, -1, device=maps.device)
    if geometry == "legacy":
        shift = round(1 - grid_scale((from_width, 1), (bins, 1), geometry="legacy")[0])
        source = (torch.arange(bins, device=maps.device) - shift).clamp(0, bins - 1)
        positions = positions[source]
    return maps.index_select(1, as_index(flip_permutation, maps.device)).index_select(-1, positions)


def pck_accuracy(
    predicted: Float[Tensor, "B K 2"], labelled: Float[Tensor, "B K 2"], grid_wh: tuple[int, int]
) -> Float[Tensor, ""]:
    """Share of labelled keypoints that are met, mean per keypoint over the batch, then over the keypoints that occur.

    A keypoint counts where both its label's coordinates exceed 1 (an unlabelled one lies at 0); it is met within half
    of a tenth of the grid along each axis.

    Args:
        predicted: grid coordinates.
        labelled: grid coordinates, (0, 0) where unlabelled.
        grid_wh: width and height of the grid.

    >>> label = torch.tensor([[[10.0, 10.0], [0.0, 0.0]]])
    >>> pck_accuracy(torch.tensor([[[11.0, 10.0], [5.0, 5.0]]]), label, (48, 64)).item()
    1.0
    """
    unit = predicted.new_tensor(grid_wh) / 10
    distance = torch.linalg.vector_norm((predicted - labelled) / unit, dim=-1)
    counted = (labelled > 1).all(dim=-1)
    met = ((distance < 0.5) & counted).sum(dim=0).float()
    occurrences = counted.sum(dim=0)
    occurring = occurrences > 0
    per_keypoint: Tensor = met / occurrences.clamp(min=1)
    accuracy: Tensor = per_keypoint.sum() / occurring.sum().clamp(min=1)
    return accuracy


def point_scale(from_wh: tuple[int, int], to_wh: tuple[int, int], geometry: Geometry, like: Tensor) -> Float[Tensor, " 2"]:
    """Factors (x, y) between two grids as a float32 tensor on the device of ``like``."""
    return torch.tensor(grid_scale(from_wh, to_wh, geometry=geometry), dtype=torch.float32, device=like.device)


def relative_spans(grid_wh: tuple[int, int], geometry: Geometry, like: Tensor) -> Float[Tensor, " 2"]:
    """Extent of a grid along x and y: between its outer pixel centres, or the legacy count of pixels."""
    less = 0 if geometry == "legacy" else 1
    return torch.tensor([max(side - less, 1) for side in grid_wh], dtype=torch.float32, device=like.device)
