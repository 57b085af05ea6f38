"""Milliseconds of networks under every runtime that is here, timed in turn with a matrix product; the median of the rounds counts.

    python benchmarks/runtimes.py --folder DIR [--preset alphapose/fastpose-r50] [--files yolox-nano ultralight] [--batch 8] [--threads 2]

Writes reports/benchmarks/runtimes.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from poseline.errors import ArtifactError, ConfigError
from poseline.infer.detectors.build import load_detector
from poseline.infer.export import export_onnx
from poseline.infer.networks import load_pose_network
from poseline.models.pose_model import build_empty
from poseline.models.saved import SavedModel, save_model
from poseline.zoo.catalogue import get_preset

PRODUCT, PRODUCT_SIDE = "matrix product", 1536


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


def matrix_product() -> Callable[[], object]:
    """A product of float32 matrices: what the cores can do at best."""
    a, b = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE) for _ in range(2))
    return lambda: a @ b


def count_operations(preset: str, batch: int) -> float:
    """Floating-point operations of a batch, as convolutions and products are defined."""
    found = get_preset(preset)
    width, height = found.model.input_wh
    network = build_empty(found.model, found.codec, found.num_keypoints).to_empty(device="cpu").eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as flops:
        network(torch.zeros(1, 3, height, width))
    return float(flops.get_total_flops()) * batch


def describe_limit(medians: dict[str, float], operations: float) -> dict[str, object]:
    """How near the runtimes come to the matrix product; takes the product out of the table."""
    limit = 2 * PRODUCT_SIDE**3 / medians.pop(PRODUCT) / 1e6
    rates = {runtime: operations / median / 1e6 for runtime, median in medians.items()}
    fractions = {runtime: round(rate / limit, 3) for runtime, rate in rates.items()}
    print(f"matrix product {limit:.0f} GFLOP/s; of it: {fractions}; at all of it {limit / rates['torch']:.2f} x torch")
    most = round(limit / rates["torch"], 3)
    return {"gflop": operations / 1e9, "matrix_gflops": limit, "of_matrix_limit": fractions, "most_over_torch": most}


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


def measure_preset(preset: str, given: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of a batch of crops to keypoints, by runtime; random weights."""
    folder = given.folder / preset.replace("/", "_")
    file = prepare(preset, folder)
    width, height = get_preset(preset).model.input_wh
    crops = np.random.default_rng(0).integers(0, 256, (given.batch, height, width, 3), dtype=np.uint8)
    jobs: dict[str, Callable[[], object]] = {}
    for runtime in here(given.runtimes):
        source = folder / "model" if runtime.startswith("torch") else file
        network = load_pose_network(str(source), runtime=runtime, device="cpu", batch_size=given.batch, threads=given.threads)
        jobs[runtime] = partial(network.decode, crops)
    return time_in_turn({**jobs, PRODUCT: matrix_product()}, given.rounds)


def measure_file(name: str, given: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of an ONNX detector on an image of 640x480, or of an ONNX pose network on a batch of crops, by runtime."""
    jobs: dict[str, Callable[[], object]] = {}
    rng = np.random.default_rng(0)
    for runtime in here(given.runtimes):
        if runtime.startswith("torch"):
            continue
        try:
            detector = load_detector(name, runtime=runtime, threads=given.threads)
            jobs[runtime] = partial(detector.detect, [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)])
        except (ArtifactError, ConfigError):
            network = load_pose_network(name, runtime=runtime, batch_size=given.batch, threads=given.threads)
            width, height = network.saved.model.input_wh
            jobs[runtime] = partial(network.decode, rng.integers(0, 256, (given.batch, height, width, 3), dtype=np.uint8))
    return time_in_turn(jobs, given.rounds)


def here(runtimes: list[str]) -> list[str]:
    """Those of the runtimes that are installed."""
    found = [runtime for runtime in runtimes if runtime.startswith("torch") or find_spec(runtime) is not None]
    for runtime in set(runtimes) - set(found):
        print(f"{runtime}: not installed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="*", default=["alphapose/fastpose-r50"])
    parser.add_argument("--files", nargs="*", default=[], help="names of the catalogue, or ONNX files")
    parser.add_argument("--folder", type=Path, required=True, help="keeps the networks and their exports")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runtimes", nargs="*", default=["torch", "torch-bf16", "onnxruntime", "openvino"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = []
    for name in [*given.preset, *given.files]:
        times = (measure_preset if name in given.preset else measure_file)(name, given)
        medians = {runtime: float(np.median(found)) for runtime, found in times.items()}
        limit = describe_limit(medians, count_operations(name, given.batch)) if PRODUCT in medians else {}
        base = "torch" if "torch" in medians else "onnxruntime"
        ratios = {runtime: round(medians[base] / median, 3) for runtime, median in medians.items()}
        for runtime in medians:
            found = times[runtime]
            print(f"{name}, {runtime}: median {medians[runtime]:.1f} ms, least {min(found):.1f}, {ratios[runtime]:.2f} x {base}")
        rows.append({"network": Path(name).stem, "milliseconds": times, "median": medians, f"over_{base}": ratios, **limit})
    path = Path(__file__).resolve().parents[1] / "reports/benchmarks/runtimes.json"
    path.write_text(json.dumps({"batch": given.batch, "threads": given.threads, "networks": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
