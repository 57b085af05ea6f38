"""Which kernels a training step spends its time in."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

GROUPS = {
    "memory copies": ("memcpy", "memset"),
    "convolutions and products": ("conv", "gemm", "xmma", "cutlass", "nvjet", "wgrad", "dgrad", "fprop", "cudnn", "mkldnn", "mm", "sm90_"),
    "changes of layout": ("nchwtonhwc", "nhwctonchw", "transpose"),
    "optimiser": ("adam", "multi_tensor", "foreach", "fused_adam"),
    "normalisation": ("batch_norm", "bn_fw", "bn_bw", "batchnorm"),
    "fused by the compiler": ("triton",),
    "element by element": ("elementwise", "vectorized", "relu", "threshold", "add", "mul", "copy"),
}  # fmt: skip
"""Words of kernel names."""
ORDER = (
    "memory copies", "optimiser", "normalisation", "fused by the compiler", "changes of layout", "convolutions and products",
    "element by element",
)  # fmt: skip
"""The first of these groups that has a word of its name takes a kernel."""


def group_of(kernel: str) -> str:
    """The group of a kernel by its name."""
    name = kernel.lower()
    return next((group for group in ORDER if any(word in name for word in GROUPS[group])), "other")


def profile_steps(step: Callable[[int], object], device: torch.device, *, warmup: int, steps: int) -> dict[str, Any]:
    """Milliseconds a step by group and of the twenty longest kernels, and the fraction of the time in which the device is idle."""
    for index in range(warmup):
        step(index)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU] if on_gpu else [ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        for index in range(steps):
            step(index)
        if on_gpu:
            torch.cuda.synchronize()
        elapsed = time.perf_counter() - started
    times: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for event in profiler.key_averages():
        spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if on_gpu and (event.device_type == torch.autograd.DeviceType.CPU or getattr(event, "is_user_annotation", False)):
            continue
        times[event.key][0] += spent / 1e3 / steps
        times[event.key][1] += event.count / steps
    groups: dict[str, float] = defaultdict(float)
    for name, (milliseconds, _) in times.items():
        groups[group_of(name)] += milliseconds
    busy = sum(groups.values())
    longest = sorted(times.items(), key=lambda item: -item[1][0])[:20]
    return {
        "step_ms": elapsed / steps * 1e3,
        "busy_ms": busy,
        "idle": max(1 - busy / (elapsed / steps * 1e3), 0.0),
        "groups_ms": {name: round(value, 3) for name, value in sorted(groups.items(), key=lambda item: -item[1])},
        "kernels": [{"name": name[:160], "ms": round(ms, 3), "calls": calls} for name, (ms, calls) in longest],
    }
