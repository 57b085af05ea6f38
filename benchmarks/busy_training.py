"""Training speed on a machine that others use: images/s of `poseline train` beside 0, 1 and 2 busy processes.

Run: python benchmarks/busy_training.py PROJECT [--before SOURCE PROJECT] [--epochs 5] [--rounds 3] [--busy 0 1 2]

PROJECT has data/processed (after `dvc repro preprocess`). With --before the same is measured in turn with the package under SOURCE (a
checkout's src) and a project that it made. The first epoch of a run is left out; a figure is the median of the other epochs of all rounds.
Writes reports/benchmarks/busy_training.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).resolve().parents[1]
BUSY = [sys.executable, "-c", "while True: pass"]


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--before", nargs=2, type=Path, metavar=("SOURCE", "PROJECT"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    codes = {"now": (REPOSITORY / "src", options.project)} | ({"before": tuple(options.before)} if options.before else {})
    speeds: dict[str, dict[int, list[float]]] = {name: {busy: [] for busy in options.busy} for name in codes}
    for _ in range(options.rounds):
        for busy in options.busy:
            for name, (source, project) in codes.items():
                found = images_per_second(source, project, options.epochs, busy)
                speeds[name][busy] += found
                print(f"{name}, {busy} busy: {', '.join(f'{one:.0f}' for one in found)} images/s", flush=True)
    result = {name: {str(busy): median(values) for busy, values in table.items()} for name, table in speeds.items()}
    for name, table in result.items():
        idle = table[str(options.busy[0])]
        print(f"{name}: " + ", ".join(f"{busy} busy {value:.0f} images/s ({value / idle:.2f})" for busy, value in table.items()))
    out = REPOSITORY / "reports/benchmarks/busy_training.json"
    out.write_text(json.dumps({"cores": os.cpu_count(), "images_per_second": result}, indent=2) + "\n", encoding="utf-8")


def images_per_second(source: Path, project: Path, epochs: int, busy: int) -> list[float]:
    """The speeds of one training's epochs after the first, beside so many processes that never wait."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        shutil.copy(project / "params.yaml", folder)
        shutil.copytree(project / "data/processed", Path(folder) / "data/processed")
        for _ in range(busy):
            stack.callback(subprocess.Popen(BUSY).kill)
        values = {"train.epochs": epochs, "train.validate_every": epochs, "mlflow.enabled": "false"}
        sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        environment = {**os.environ, "PYTHONPATH": str(source), "POSELINE_PROGRESS": "off"}
        command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *sets]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = [float(speed) for speed in re.findall(r"^epoch .*?([\d.]+) images/s", done.stdout + done.stderr, flags=re.MULTILINE)]
    if done.returncode or len(found) < 2:
        raise SystemExit(f"training failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return found[1:]


if __name__ == "__main__":
    main()
