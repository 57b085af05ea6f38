"""Training killed with -9 at a random step, and resumed: does it end with the weights of a run that nothing stopped? Writes JSON.

Run: python benchmarks/resume.py --device cuda [--kills 3] [--processed FOLDER] [--out FILE] [KEY=VALUE ...]

FOLDER holds the crops of the preprocess stage; the parameters are those of params.yaml with FastPose-R50 in bfloat16, then those given.
The default file lies in reports/benchmarks and is called resume_ and the device's name.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from training_limits import device_name

from poseline.artifacts import file_hash
from poseline.train.checkpoint import read_newest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (
    "model.kind=fastpose", "model.backbone=resnet50", "model.width=1", "model.head=standard", "model.deconv_channels=[256, 256, 256]",
    "train.amp=true", "train.batch_size=16", "train.epochs=3", "train.workers=4", "train.deterministic=true",
    "train.checkpoint_minutes=0.02", "train.validate_every=3", "train.validate_people=100", "mlflow.enabled=false",
)  # fmt: skip
WAIT_S = 300
"""For the first checkpoint."""


class Project:
    """A folder with crops and parameters in which `poseline train` runs."""

    def __init__(self, folder: Path, processed: Path, device: str, overrides: list[str]) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copytree(processed, folder / "data/processed")
        sets = [part for override in (*RECIPE, *overrides) for part in ("--set", override)]
        self.command = [sys.executable, "-m", "poseline.cli", "train", "--device", device, *sets]

    def finish(self) -> tuple[str, str]:
        """Run training to its end: the hash of the weights, and the history."""
        subprocess.run(self.command, cwd=self.folder, check=True)
        return file_hash(self.folder / "data/model/model.safetensors"), (self.folder / "data/model/history.jsonl").read_text()

    def kill(self, delay: float) -> dict[str, int]:
        """Start training anew, and kill it so many seconds after its first checkpoint: the place of the newest one."""
        shutil.rmtree(self.folder / "data/model")
        process = subprocess.Popen(self.command, cwd=self.folder, start_new_session=True)
        deadline = time.monotonic() + WAIT_S
        while not (found := list((self.folder / ".cache/checkpoints").glob("*/checkpoint.pt"))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("training ended, or wrote no checkpoint, before it could be killed")
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is not None:
            raise SystemExit("training ended before it could be killed: raise train.epochs")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        saved = read_newest(found[0])
        if saved is None:
            raise SystemExit("the killed run left no checkpoint that can be read")
        return {"epoch": saved[0].epoch, "step": saved[0].step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processed", type=Path, default=ROOT / "data/processed")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    name = device_name(torch.device(given.device))
    path = given.out or ROOT / "reports/benchmarks" / f"resume_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}.json"
    report: dict[str, Any] = {"device": name, "torch": torch.__version__, "overrides": [*RECIPE, *given.overrides]}
    kills: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), given.processed, given.device, given.overrides)
        weights, history = project.finish()
        for _ in range(given.kills):
            place = project.kill(random.uniform(0, 5))
            again = project.finish()
            kills.append({"newest_checkpoint": place, "same_weights": again[0] == weights, "same_history": again[1] == history})
            print(json.dumps(kills[-1]), flush=True)
    same = sum(kill["same_weights"] and kill["same_history"] for kill in kills)
    path.write_text(json.dumps({**report, "kills": len(kills), "same": same, "runs": kills}, indent=1) + "\n")
    print(f"{same} of {len(kills)} resumed runs end as the whole one: {path}")
    sys.exit(0 if same == len(kills) else 1)


if __name__ == "__main__":
    main()
