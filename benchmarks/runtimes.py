"""Milliseconds a crop of one pose network under every runtime that is here, timed in turn; the fastest of the rounds counts.

Run: python benchmarks/runtimes.py --folder DIR [--preset alphapose/fastpose-r50] [--batch 8] [--threads 2] [--rounds 7]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
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


def prepare(preset: str, folder: Path) -> Path:
    """The exported network; made once, so that a second run only times."""
    file = folder / "net.onnx"
    if not file.is_file():
        save_untrained(preset, folder / "model")
        export_onnx(folder / "model", file)
    return file


def time_in_turn(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every job in every round, after one that does not count."""
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append((time.perf_counter() - started) * 1e3)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="alphapose/fastpose-r50")
    parser.add_argument("--folder", type=Path, required=True, help="keeps the network and its export")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runtimes", nargs="*", default=["torch", "torch-bf16", "onnxruntime", "openvino"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    file = prepare(given.preset, given.folder)
    width, height = get_preset(given.preset).model.input_wh
    crops = np.random.default_rng(0).integers(0, 256, (given.batch, height, width, 3), dtype=np.uint8)
    jobs: dict[str, Callable[[], object]] = {}
    for runtime in given.runtimes:
        if runtime in ("onnxruntime", "openvino") and find_spec(runtime) is None:
            print(f"{runtime}: not installed")
            continue
        source = given.folder / "model" if runtime.startswith("torch") else file
        network = load_pose_network(str(source), runtime=runtime, device="cpu", batch_size=given.batch, threads=given.threads)
        jobs[runtime] = partial(network.decode, crops)
    times = time_in_turn(jobs, given.rounds)
    base = min(times["torch"]) if "torch" in times else None
    for runtime, found in times.items():
        ratio = f", {base / min(found):.2f} x eager PyTorch" if base else ""
        print(f"{runtime}: {min(found):.0f} ms a batch of {given.batch} (median {np.median(found):.0f}){ratio}")


if __name__ == "__main__":
    main()
