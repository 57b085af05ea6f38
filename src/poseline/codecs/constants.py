"""Small constants on a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor


def constant(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float32) -> Shaped[Tensor, " N"]:
    """The numbers as a tensor on the device; the host does not wait for it.

    A copy from ordinary host memory would wait until the device has done all work queued before it, in each step of a training run.

    >>> constant((48, 64), torch.device("cpu")).tolist()
    [48.0, 64.0]
    """
    if device.type == "cpu":
        return torch.tensor(values, dtype=dtype)
    return torch.stack([torch.full((), value, dtype=dtype, device=device) for value in values])
