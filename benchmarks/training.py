"""Training and inference throughput of one device against its arithmetic limit; prints a table and writes JSON.

Run: python benchmarks/training.py [--device cuda] [--networks fastpose-r50 hrnet-w32] [--batches 128 256 512] [--seconds 330] [--out FILE]

The training step is the one that `poseline train` runs. Cases, each in images/s: the step on batches that lie on the device (model), the
loader alone (data), and both together (full). What does not fit into the seconds is left out and named. The default file lies
in reports/benchmarks and is called training_ and the device's name.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_data import draw_people
from training_limits import count_normalisation, count_traffic, device_name, measure_limits
from training_loader import PRELOADED, Setup, load_epoch, run_epoch
from training_profile import profile_steps

from poseline.codecs.build import build_codec
from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import PoseBatch
from poseline.infer.estimator import PoseEstimator
from poseline.infer.networks import TORCH_RUNTIMES
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel
from poseline.progress import silence
from poseline.train.distributed import Rank
from poseline.train.feed import count_workers
from poseline.train.loop import prepare_torch, seed_step, train_step
from poseline.train.means import RunningMeans
from poseline.train.sources import TrainingData
from poseline.train.trainer import Trainer, build_trainer

ROOT = Path(__file__).resolve().parents[1]
NETWORKS: dict[str, tuple[str, ...]] = {
    "mini": (),
    "fastpose-r50": ("model.kind=fastpose", "model.backbone=resnet50"),
    "hrnet-w32": ("model.kind=hrnet", "model.backbone=hrnet_w32"),
}
"""Overrides of params.yaml; mini is what stands there."""
RECIPE = (
    "data.skeleton=coco17", "codec.kind=heatmap", "codec.geometry=published", "codec.heatmap.centre=integer",
    "codec.heatmap.refine=quarter", "model.deconv_channels=[256, 256, 256]", "model.width=1", "model.head=standard", "model.padding=1.25",
    "model.input_wh=[192, 256]", "train.optimizer=adam", "train.learning_rate=0.001", "train.weight_decay=0", "train.ema=null",
    "train.schedule.kind=constant", "train.workers=auto",
)  # fmt: skip
Row = dict[str, Any]


class Clock:
    """The time that is left; a case that needs more is left out."""

    def __init__(self, seconds: float) -> None:
        self.started, self.seconds = time.monotonic(), seconds

    def has(self, seconds: float) -> bool:
        """Whether so much is left."""
        return time.monotonic() - self.started + seconds < self.seconds


class Table:
    """The rows measured so far, printed and written as they come."""

    def __init__(self, path: Path, head: Row, clock: Clock, chosen: list[str]) -> None:
        self.path, self.head, self.clock, self.rows, self.chosen = path, head, clock, [], tuple(chosen)

    def case(self, name: str, needs: float, job: Callable[[], Row], **about: Any) -> Row:
        """The row of a case; one that fails or has no time says so instead of a rate."""
        row: Row = {"case": name, **about}
        if not name.startswith(self.chosen):
            return row
        if not self.clock.has(needs):
            row["skipped"] = f"needs {needs:.0f} s more"
        else:
            started = time.monotonic()
            try:
                row |= job()
            except torch.cuda.OutOfMemoryError:
                row["failed"] = "out of memory"
            except Exception as error:  # one case must not end the run
                traceback.print_exc(limit=-2)
                row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            row["took_s"] = round(time.monotonic() - started, 1)
        self.rows.append(row)
        print("  ".join(f"{key} {show(value)}" for key, value in row.items() if key != "kernels"), flush=True)
        self.write()
        return row

    def write(self) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({**self.head, "rows": self.rows}, indent=1) + "\n")


def show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def time_steps(step: Callable[[int], object], device: torch.device, *, warmup: int, steps: int) -> float:
    """Seconds of one step: the mean of ``steps`` after those that do not count."""
    for index in range(warmup):
        step(index)
    wait(device)
    started = time.perf_counter()
    for index in range(steps):
        step(index)
    wait(device)
    return (time.perf_counter() - started) / steps


def peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def start_anew(device: torch.device) -> None:
    """Forget compiled graphs, and count the peak of the memory from here."""
    torch._dynamo.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


class Bench:
    """One network on one device.

    Args:
        network: its name in NETWORKS.
        given: the arguments.
        data: training people.
        table: takes the rows.
    """

    def __init__(self, network: str, given: argparse.Namespace, data: TrainingData, table: Table) -> None:
        self.network, self.given, self.data, self.table = network, given, data, table
        self.rank = Rank(0, 1, torch.device(given.device))
        self.limit: float = table.head["limits"]["matrix_tflops"]
        self.flops = self.norms = 0.0
        self.kept: tuple[tuple[int, tuple[str, ...]], Trainer] | None = None

    def params(self, batch_size: int, *overrides: str) -> Params:
        """The parameters of the network's recipe."""
        recipe = () if self.network == "mini" else (*RECIPE, *NETWORKS[self.network])
        size = () if self.given.input_wh is None else (f"model.input_wh={self.given.input_wh}",)
        own = (f"train.amp={str(self.given.device != 'cpu').lower()}", f"train.batch_size={batch_size}")
        return load_params(ROOT / "params.yaml", [*recipe, *size, *own, *overrides])

    def batches(self, params: Params) -> list[PoseBatch]:
        """A few batches that lie on the device, so that no step finds its inputs in a cache."""
        dataset = self.data.train_dataset(params)
        size = params.train.batch_size
        samples = [dataset[(0, row % len(dataset))] for row in range(min(size, 64))]
        batch = dataset.collate(list(islice(cycle(samples), size)))
        return [replace(batch, images=batch.images.roll(shift, 0)).to(self.rank.device) for shift in range(3)]

    def rates(self, seconds: float, images: int, *, passes: float = 1.0) -> Row:
        """The rate, and the arithmetic that it amounts to, also as a fraction of the device's, where the case `count` was run."""
        if not self.flops:
            return {"images_per_second": images / seconds}
        tflops = images / seconds * self.flops * passes / 1e12
        return {"images_per_second": images / seconds, "tflops": tflops, "of_matrix_limit": tflops / self.limit}

    def count(self) -> Row:
        """Arithmetic and memory traffic of one image in an eager training step."""
        counts = []
        for size in (4, 12):  # the difference leaves out what a step costs without images: weights, optimiser
            params = self.params(size)
            trainer, (batch, *_) = self.trainer(params), self.batches(params)
            torch.backends.cudnn.benchmark = False
            counts.append(count_traffic(lambda: train_step(trainer, batch, params.model, params.train)))  # noqa: B023
            self.norms = count_normalisation(trainer.network, lambda: train_step(trainer, batch, params.model, params.train)) / size  # noqa: B023
        self.flops, traffic = ((more - less) / 8 for less, more in zip(*counts, strict=True))
        bandwidth = self.table.head["limits"]["copy_gb_per_s"]
        return {
            "gflop_per_image": self.flops / 1e9,
            "eager_mb_per_image": traffic / 1e6,
            "normalisation_mb_per_image": self.norms / 1e6,
            "images_per_second_at_matrix_limit": self.limit * 1e12 / self.flops,
            "images_per_second_at_copy_bandwidth": bandwidth * 1e9 / traffic,
        }

    def trainer(self, params: Params) -> Trainer:
        """The engine's trainer."""
        start_anew(self.rank.device)
        prepare_torch(params.seed, params.train, self.rank)
        trainer = build_trainer(params, self.rank)
        trainer.network.train()
        return trainer

    def step_of(self, params: Params) -> tuple[Trainer, Callable[[int], object]]:
        """A training step as the engine's loop makes it, on resident batches."""
        trainer, batches, means = self.trainer(params), self.batches(params), RunningMeans()

        def step(index: int) -> object:
            seed_step(params.seed, index, self.rank)
            means.add(train_step(trainer, batches[index % len(batches)], params.model, params.train), batches[0].index)
            return None

        return trainer, step

    def train_model(self, size: int, *overrides: str) -> Row:
        """The training step alone."""
        params = self.params(size, *overrides)
        trainer, step = self.step_of(params)
        seconds = time_steps(step, self.rank.device, warmup=self.given.warmup, steps=self.given.steps)
        del trainer
        return {**self.rates(seconds, size), "step_ms": seconds * 1e3, "peak_gib": peak_gib(self.rank.device)}

    def profile(self, size: int, *overrides: str) -> Row:
        """Which kernels the step spends its time in; the fraction of the limit in its convolutions, and were normalisation a copy."""
        _, step = self.step_of(self.params(size, *overrides))
        found = profile_steps(step, self.rank.device, warmup=self.given.warmup, steps=5)
        found["normalisation_floor_ms"] = size * self.norms / self.table.head["limits"]["copy_gb_per_s"] / 1e6
        if spent := found["groups_ms"].get("convolutions and products"):
            product_ms = size * self.flops / self.limit / 1e9
            found["convolutions_of_matrix_limit"] = product_ms / spent
            found["of_matrix_limit_at_floor"] = product_ms / (spent + found["normalisation_floor_ms"])
        return found

    def syncs(self, size: int) -> Row:
        """Where a step makes the host wait for the device, which it should do nowhere."""
        _, step = self.step_of(self.params(size))
        for index in range(2):
            step(index)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            step(2)
            torch.cuda.set_sync_debug_mode("default")
        places = [f"{Path(one.filename).name}:{one.lineno} {one.message}".splitlines()[0][:120] for one in found]
        waits = [place for place in places if "synchroniz" in place]
        return {"host_waits": len(waits), "where": waits[:10]}

    def data_only(self, size: int, setup: Setup) -> Row:
        """The loader alone, pinned memory included where there is a GPU."""
        dataset = self.data.train_dataset(self.params(size))
        return {"images_per_second": load_epoch(dataset, size, setup, self.rank.device)}

    def full(self, size: int, setup: Setup, *overrides: str) -> Row:
        """A whole epoch of the engine's loop, loader and all; the trainer of the same parameters before is used again."""
        params = self.params(size, f"train.workers={setup.workers}", *overrides)
        asked = (size, overrides)
        if self.kept is None or self.kept[0] != asked:
            self.kept = None
            self.kept = (asked, self.trainer(params))
        found = run_epoch(self.kept[1], params, self.data.train_dataset(params), setup)
        return {**self.rates(found.pop("seconds"), found.pop("images")), **found, "peak_gib": peak_gib(self.rank.device)}

    def infer(self, size: int, runtime: str, *, decode: str) -> Row:
        """Crops per second of prediction: crops on the device (network and decoding), or from NumPy to NumPy as `poseline predict`."""
        params = self.params(size)
        network = build_model(params.model, params.codec, load_skeleton(params.data.skeleton).num_keypoints)
        start_anew(self.rank.device)
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = True
        saved = SavedModel(params.model, params.codec, params.data.skeleton)
        codec = build_codec(params.codec, num_keypoints=saved.num_keypoints, input_wh=params.model.input_wh)
        forward = TORCH_RUNTIMES[runtime](network, self.rank.device)
        estimator = PoseEstimator(forward, codec, saved, device=self.rank.device, batch_size=size, flip=False)
        crops = np.random.default_rng(0).integers(0, 256, (3, size, *params.model.input_wh[::-1], 3), dtype=np.uint8)
        resident = [torch.from_numpy(part).to(self.rank.device) for part in crops]
        jobs: dict[str, Callable[[int], object]] = {
            "device": lambda index: estimator.decode_resident(resident[index % 3]),
            "host": lambda index: estimator.decode(crops[index % 3]),
        }
        with torch.inference_mode():
            seconds = time_steps(jobs[decode], self.rank.device, warmup=self.given.warmup, steps=self.given.steps)
        return {**self.rates(seconds, size, passes=1 / 3), "batch_ms": seconds * 1e3, "peak_gib": peak_gib(self.rank.device)}


def rate(row: Row) -> float:
    return float(row.get("images_per_second", 0.0))


def run_training(bench: Bench, compile_need: float) -> None:
    """The batch sweep, the compiled step, both with data, and the profile of the best."""
    case, given, network = bench.table.case, bench.given, bench.network
    case("count", 5, bench.count, network=network)
    if bench.rank.device.type == "cuda":
        case("host waits in a step", 8, lambda: bench.syncs(32), network=network)
    rows = [
        case("model", 15, lambda size=size: bench.train_model(size), network=network, batch=size, compile="none") for size in given.batches
    ]
    best = max(rows, key=rate)
    size, options = best["batch"], ()
    if given.compile and rate(best):
        row = case(
            "model", compile_need, lambda: bench.train_model(size, "train.compile=default"), network=network, batch=size, compile="default"
        )
        if rate(row) > rate(best):
            best, options = row, ("train.compile=default",)
    about = {"network": network, "batch": size, "compile": best["compile"]}
    needs = compile_need / 2 if options else 15  # compiled before: the kernels are in the cache
    case("profile", needs, lambda: bench.profile(size, *options), **about)
    workers = count_workers(bench.params(size).train, 1, bench.rank.device)
    for count in sorted({0, workers // 2, workers}):
        case("data", 20, lambda count=count: bench.data_only(size, Setup(count)), batch=size, workers=count)
    steps = [(best, options, needs + 15)] if not options else [(max(rows, key=rate), (), 30), (best, options, needs + 15)]
    for alone, chosen, need in steps:
        about["compile"] = alone["compile"]
        full = case("full", need, lambda chosen=chosen: bench.full(size, Setup(workers), *chosen), **about, workers=workers)
        if rate(alone) and rate(full):
            print(f"{network}: full step {rate(full) / rate(alone):.3f} of the step alone", flush=True)
    bench.kept = None


def run_loaders(bench: Bench) -> None:
    """The full step, and the loader alone, where single settings of the loader differ; with the fastest step."""
    rows = [row for row in bench.table.rows if row["case"] == "model" and row["network"] == bench.network]
    best, case = max(rows, key=rate), bench.table.case
    about, workers = {key: best[key] for key in ("network", "batch", "compile")}, count_workers(bench.params(1).train, 1, bench.rank.device)
    options = () if best["compile"] == "none" else ("train.compile=default",)
    setups = [Setup(**{"workers": workers, **setup}) for setup in bench.given.loaders]
    for setup in setups:
        case("full, loader changed", 25, lambda setup=setup: bench.full(best["batch"], setup, *options), **about, **asdict(setup))
    for setup in setups:
        case("data, loader changed", 12, lambda setup=setup: bench.data_only(best["batch"], setup), batch=best["batch"], **asdict(setup))
    bench.kept = None


def run_inference(bench: Bench, compile_need: float) -> None:
    """Every way in which PyTorch runs the network, and the path from and to the host of the fastest."""
    case, given = bench.table.case, bench.given
    runtimes = ["torch"] if given.device == "cpu" else ["torch", "torch-bf16"]  # bfloat16 is emulated on most CPUs
    runtimes += ["torch-compile-bf16"] if given.compile else []
    rows = []
    for runtime in runtimes:
        needs = compile_need / 2 if "compile" in runtime else 8
        for size in given.infer_batches:
            rows.append(
                case("inference", needs, lambda runtime=runtime, size=size: bench.infer(size, runtime, decode="device"),
                     network=bench.network, runtime=runtime, batch=size)
            )  # fmt: skip
    best = max(rows, key=rate)
    needs = compile_need / 2 if "compile" in best["runtime"] else 8
    case("inference, from host memory", needs, lambda: bench.infer(best["batch"], best["runtime"], decode="host"),
         network=bench.network, runtime=best["runtime"], batch=best["batch"])  # fmt: skip


def run_ablation(bench: Bench, size: int) -> None:
    """What single settings cost or gain, in the eager step."""
    settings = {
        "float32": "train.amp=false", "channels first": "train.channels_last=false", "deterministic kernels": "train.deterministic=true",
    }  # fmt: skip
    for name, override in settings.items():
        bench.table.case(
            "model, one setting changed", 15, lambda override=override: bench.train_model(size, override),
            network=bench.network, batch=size, changed=name,
        )  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", nargs="+", default=["fastpose-r50", "hrnet-w32"], choices=list(NETWORKS))
    parser.add_argument("--input-wh", nargs=2, type=int, help="pixels; default: the recipe's")
    parser.add_argument("--batches", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--infer-batches", nargs="+", type=int, default=[512])
    parser.add_argument("--people", type=int, default=1024, help="stored crops, drawn")
    parser.add_argument("--samples", type=int, default=20_480, help="samples an epoch")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--compile-need", nargs="+", type=float, default=[100, 200], help="seconds that compiling each network may take")
    parser.add_argument("--seconds", type=float, default=3600, help="no case begins that may end later")
    parser.add_argument("--cases", nargs="+", default=[""], help="those alone whose name begins so, as 'model' or 'inference'")
    parser.add_argument("--loaders", nargs="*", type=json.loads, default=[], help="full steps with other loaders, as '{\"workers\": 8}'")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    given = parse()
    silence(True)
    multiprocessing.set_forkserver_preload(PRELOADED)
    clock = Clock(given.seconds)
    name = device_name(torch.device(given.device))
    path = given.out or ROOT / "reports/benchmarks" / f"training_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}.json"
    head: Row = {"device": name, "torch": torch.__version__, "python": sys.version.split()[0], "cores": os.cpu_count()}
    head["limits"] = measure_limits(torch.device(given.device))
    print(json.dumps(head), flush=True)
    table = Table(path, head, clock, given.cases)
    benches: list[Bench] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, network in enumerate(given.networks):
            need = given.compile_need[min(index, len(given.compile_need) - 1)]
            base = Bench(network, given, data=None, table=table)  # type: ignore[arg-type]
            base.data = draw_people(Path(folder) / network, base.params(1), people=given.people, samples=given.samples)
            run_training(base, need)
            run_inference(base, need)
            benches.append(base)
        for bench in benches:
            run_loaders(bench)
        run_ablation(benches[0], given.batches[len(given.batches) // 2])
    table.write()
    print(f"written: {path}")


if __name__ == "__main__":
    main()
