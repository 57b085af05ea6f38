"""What a device can do at best: a matrix product and a copy; and what a training step asks of it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def device_name(device: torch.device) -> str:
    """As the vendor calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def median_seconds(job: Callable[[], object], device: torch.device, repeats: int = 20) -> float:
    """Median time of a job after three that do not count."""
    times = []
    for index in range(repeats + 3):
        started = time.perf_counter()
        job()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if index >= 3:
            times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def measure_limits(device: torch.device) -> dict[str, float]:
    """10^12 operations a second of a large matrix product (bfloat16 on a GPU, else float32), and 10^9 bytes a second, read and written."""
    on_gpu = device.type == "cuda"
    side, dtype = (8192, torch.bfloat16) if on_gpu else (1024, torch.float32)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = median_seconds(lambda: a @ b, device)
    source = torch.randn(2**28 if on_gpu else 2**24, device=device)
    target = torch.empty_like(source)
    copy = median_seconds(lambda: target.copy_(source), device)
    return {"matrix_tflops": 2 * side**3 / product / 1e12, "copy_gb_per_s": 2 * source.numel() * 4 / copy / 1e9}


class Traffic(TorchDispatchMode):
    """Bytes that the operators read and write, each tensor counted in full; views count nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def count_traffic(step: Callable[[], object]) -> tuple[float, float]:
    """Floating-point operations, and bytes of eager execution, of a step."""
    with FlopCounterMode(display=False) as flops:
        step()
    with Traffic() as traffic:
        step()
    return float(flops.get_total_flops()), float(traffic.bytes)


PASSES = 8
"""Times that a batch norm that is fused with nothing but itself reads or writes its input's size: for the statistics, for the output (2),
backward for the two sums (2) and for the gradient (3)."""


def count_normalisation(network: nn.Module, step: Callable[[], object]) -> float:
    """Bytes that the batch norms of a training step move at least, where no convolution takes a part of their work."""
    sizes: list[int] = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    hooks = [layer.register_forward_hook(lambda _layer, _args, out: sizes.append(out.numel() * out.element_size())) for layer in layers]
    step()
    for hook in hooks:
        hook.remove()
    return float(PASSES * sum(sizes))
