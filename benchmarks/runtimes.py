"""Milliseconds a crop of one pose network under every runtime that is here, timed in turn; the fastest of the rounds counts.

Run: python benchmarks/runtimes.py [--preset alphapose/fastpose-r50] [--batch 8] [--threads 2] [--rounds 7]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from poseline.infer.export import export_onnx
from poseline.infer.networks import load_pose_network
from poseline.models.pose_model import build_empty
from poseline.models.saved import SavedModel, save_model
from poseline.zoo.catalogue import get_preset


def save_untrained(preset: str, folder: Path) -> None:
    """The network of a preset with random weights: the time does not depend on them."""
    torch.manual_seed(0)
    found = get_preset(preset)
    module = build_empty(found.model, found.codec, found.num_keypoints).to_empty(device="cpu")
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.02)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            torch.nn.init.ones_(tensor)
    save_model(folder, module.eval(), SavedModel(found.model, found.codec, found.skeleton))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="alphapose/fastpose-r50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runtimes", nargs="+", default=["torch", "torch-bf16", "onnxruntime", "openvino"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        save_untrained(given.preset, folder)
        export_onnx(folder, Path(name) / "net.onnx")
        width, height = get_preset(given.preset).model.input_wh
        crops = np.random.default_rng(0).integers(0, 256, (given.batch, height, width, 3), dtype=np.uint8)
        jobs: dict[str, Callable[[], object]] = {}
        for runtime in given.runtimes:
            if runtime in ("onnxruntime", "openvino") and find_spec(runtime) is None:
                print(f"{runtime}: not installed")
                continue
            source = folder if runtime.startswith("torch") else Path(name) / "net.onnx"
            network = load_pose_network(str(source), runtime=runtime, device="cpu", batch_size=given.batch, threads=given.threads)
            jobs[runtime] = lambda network=network: network.decode(crops)
        for job in jobs.values():
            job()
        times: dict[str, list[float]] = {runtime: [] for runtime in jobs}
        for _ in range(given.rounds):
            for runtime, job in jobs.items():
                started = time.perf_counter()
                job()
                times[runtime].append((time.perf_counter() - started) * 1e3)
    base = min(times["torch"]) if "torch" in times else None
    for runtime, found in times.items():
        ratio = f", {base / min(found):.2f} x eager PyTorch" if base else ""
        print(f"{runtime}: {min(found):.0f} ms a batch of {given.batch} (median {np.median(found):.0f}){ratio}")


if __name__ == "__main__":
    main()
