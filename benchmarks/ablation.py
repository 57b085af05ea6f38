"""What each piece of the default recipe is worth on mini, and AP over the length of training; prints a table and writes JSON.

Run: python benchmarks/ablation.py --device cuda [--seeds 3] [--jobs 4] [--arms ARM ...] [--project FOLDER] [--out FILE] [KEY=VALUE ...]

Every arm trains params.yaml with some values changed, once a seed, and is scored on COCO's val images with boxes of the ground truth.
An arm's AP is the mean over its seeds; its difference to the default of the same seeds has a 95 % interval over images drawn anew. FOLDER
keeps the drawn data and the trained models, so that a measurement that was cut short goes on; default: a temporary one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from training_limits import device_name

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.evaluation.bootstrap import draw_weights
from poseline.evaluation.tables import matches_from_frame
from poseline.experiments import StageRun
from poseline.progress import silence
from poseline.stages import mini, predict, preprocess, score, train, validate

ROOT = Path(__file__).resolve().parents[1]
COMMON = (
    "mlflow.enabled=false", "score.bootstrap=0", "score.diagnosis=false", "score.engine=poseline", "validate.html=false",
    "data.sets.coco.detections=null",
)  # fmt: skip
PLAIN = (
    "train.optimizer=adam", "train.weight_decay=0", "train.ema=null", "train.schedule.kind=step", "train.schedule.milestones=[7, 9]",
)  # fmt: skip
ARMS: dict[str, tuple[str, ...]] = {
    "default": (),
    "plain": PLAIN,
    "plain, rate .001": (*PLAIN, "train.learning_rate=0.001"),
    "without averaged weights": ("train.ema=null",),
    "step schedule": ("train.schedule.kind=step", "train.schedule.milestones=[7, 9]"),
    "flat, then cosine": ("train.schedule.kind=flat_cosine",),
    "adam": ("train.optimizer=adam", "train.weight_decay=0"),
    "without warm-up": ("train.schedule.warmup_steps=0",),
    "without colour changes": ("augment.brightness=0", "augment.contrast=0", "augment.colour=0"),
    "without rotation and scale": ("augment.rotation_probability=0", "augment.scale=0", "augment.translation=0"),
    "5 epochs": ("train.epochs=5",),
    "7 epochs": ("train.epochs=7",),
    "14 epochs": ("train.epochs=14",),
    "20 epochs": ("train.epochs=20",),
}
"""Arm -> what it changes; AlphaPose's recipe is the plain one: Adam, a rate that falls by steps, no average of the weights."""
RESAMPLES = 2000
Row = dict[str, Any]


def draw(folder: Path, overrides: list[str]) -> None:
    """The data of a project, drawn and cut into crops once."""
    shutil.copy(ROOT / "params.yaml", folder)
    if (folder / "data/processed").exists():
        return
    params, layout = load_params(folder / "params.yaml", [*COMMON, *overrides]), Layout(Path())
    with contextlib.chdir(folder):  # the data sets' paths are relative
        mini.run(params, layout)
        for name in params.data.sets:
            validate.run(params, layout, name)
        preprocess.run(params, layout)


def run_folder(project: Path, arm: str, seed: int) -> Path:
    """Where a run of an arm lies."""
    return project / f"{arm}-{seed}".replace(" ", "_")


def train_arm(project: Path, arm: str, seed: int, device: str, overrides: list[str]) -> Row:
    """One training, scored."""
    silence(True)
    folder = run_folder(project, arm, seed)
    for name in ("mini", "processed"):
        link = folder / "data" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(project / "data" / name)
    params, layout = load_params(project / "params.yaml", [*COMMON, *ARMS[arm], f"seed={seed}", *overrides]), Layout(Path())
    with contextlib.chdir(folder):
        started = time.monotonic()
        train.run(params, layout, device, StageRun())
        seconds = time.monotonic() - started
        predict.run(params, layout, device, "coco")
        row = {"arm": arm, "seed": seed, "seconds": seconds, "ap": score.run(params, layout, "coco")["ap"]}
        Path("run.json").write_text(json.dumps(row))
    return row


def train_all(project: Path, wanted: list[tuple[str, int]], given: argparse.Namespace, until: float) -> list[Row]:
    """The runs that were done in time, in the order wanted; the others are named."""
    known = {run: path for run in wanted if (path := run_folder(project, *run) / "run.json").exists()}
    rows = [json.loads(path.read_text()) for path in known.values()]
    with ProcessPoolExecutor(given.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(train_arm, project, *run, given.device, given.overrides): run for run in wanted if run not in known}
        try:
            for job in as_completed(jobs, timeout=until - time.monotonic()):
                rows.append(job.result())
                print(json.dumps(rows[-1]), flush=True)
        except TimeoutError:
            print("left out, for want of time:", [run for job, run in jobs.items() if not job.done()], flush=True)
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()
    return sorted(rows, key=lambda row: wanted.index((row["arm"], row["seed"])))


def summarise(project: Path, arm: str, rows: list[Row]) -> Row:
    """An arm's mean AP, its seeds, seconds, and the difference to the default of the same seeds with its interval."""
    mine = {row["seed"]: row for row in rows if row["arm"] == arm}
    found: Row = {"arm": arm, "changes": list(ARMS[arm]), "ap": np.mean([row["ap"] for row in mine.values()]), "seeds": len(mine)}
    found["seconds"] = float(np.median([row["seconds"] for row in mine.values()]))
    default = {row["seed"]: row for row in rows if row["arm"] == "default" and row["seed"] in mine}
    if arm != "default" and len(default) == len(mine):
        found["difference"] = found["ap"] - np.mean([row["ap"] for row in default.values()])
        drawn = np.mean([resample(project, arm, seed) - resample(project, "default", seed) for seed in mine], axis=0)
        found["low"], found["high"] = np.quantile(drawn, [0.025, 0.975]).tolist()
    return found


@cache
def resample(project: Path, arm: str, seed: int) -> np.ndarray:
    """The AP of a run on images drawn anew, the same for all runs, [RESAMPLES]; the default's is asked for by every arm."""
    table = matches_from_frame(pd.read_parquet(run_folder(project, arm, seed) / "reports/per_person/coco/matches.parquet"))
    return table.rate(draw_weights(len(table.image_ids), RESAMPLES, seed=1), ["ap"])["ap"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--seconds", type=float, default=86400.0, help="runs that are not done by then are left out and named")
    parser.add_argument("--project", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/benchmarks/ablation.json")
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as scratch:
        project = (given.project or Path(scratch)).resolve()
        project.mkdir(parents=True, exist_ok=True)
        draw(project, given.overrides)
        # Seed by seed, so that a run that is cut short has every arm.
        rows = train_all(project, [(arm, seed) for seed in range(1, given.seeds + 1) for arm in given.arms], given, until)
        arms = [summarise(project, arm, rows) for arm in given.arms if any(row["arm"] == arm for row in rows)]
    head = {"device": device_name(torch.device(given.device)), "torch": torch.__version__, "jobs": given.jobs, "overrides": given.overrides}
    given.out.write_text(json.dumps({**head, "arms": arms, "runs": rows}, indent=1) + "\n")
    for row in arms:
        change = f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]" if "low" in row else ""
        print(f"{row['arm']:30s} AP {100 * row['ap']:.1f}  {change:24s} {row['seconds']:.0f} s, {row['seeds']} seeds")


if __name__ == "__main__":
    main()
