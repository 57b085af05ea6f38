"""The device that a command runs on."""

from __future__ import annotations

import torch

from poseline.errors import BackendError


def resolve_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU; any other name is taken as it is.

    Raises:
        BackendError: the named device is not here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BackendError(f"--device {name}: no such kind of device. Use auto, cpu, cuda, cuda:N or mps.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices. Use --device cpu or auto.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BackendError(f"--device {name}: MPS is not available here. Use --device cpu or auto.")
    return device
