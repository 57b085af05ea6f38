"""Stage train: one model for every benchmark, in this process or in several under torchrun."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import yaml

from poseline.artifacts import Layout, write_json, write_text
from poseline.config import Params, dump_section
from poseline.errors import BackendError
from poseline.experiments import StageRun
from poseline.models.device import resolve_device
from poseline.train.checkpoint import fingerprint
from poseline.train.distributed import Rank, count_processes, join_group, launch
from poseline.train.loop import fit
from poseline.train.sources import check_people, load_training_data
from poseline.train.trainer import start_model


def run(params: Params, layout: Layout, device: str, record: StageRun) -> dict[str, float]:
    """Write data/model and reports/plots/history.json; the best validation AP and the epochs trained.

    Raises:
        ConfigError: more processes than people to train on, or ``train.init_from`` is another network.
        BackendError: a training process died.
    """
    processes = count_processes(params.train, resolve_device(device))
    check_people(load_training_data(layout.processed, params), processes * params.train.nodes)
    if processes > 1 or params.train.nodes > 1:
        run_under_torchrun(params, layout, device, processes, record)
    else:
        with join_group(resolve_device(device)) as rank:
            train_rank(params, layout, rank, record)
    return summarise(layout)


def train_rank(params: Params, layout: Layout, rank: Rank, record: StageRun) -> None:
    """One process's share of the run."""
    data = load_training_data(layout.processed, params)
    sections = [params.data, params.codec, params.model, params.loss, params.augment, params.train, params.preprocess]
    run_id = fingerprint([str(params.seed), str(rank.world_size), data.hash, *(str(dump_section(section)) for section in sections)])

    def report(figures: dict[str, float], epoch: int) -> None:
        record.log_metrics({f"train.{name}": value for name, value in figures.items()}, step=epoch + 1)
        shown = "  ".join(f"{name} {figures[name]:.4f}" for name in ("loss", "acc", "val_ap") if name in figures)
        speed = f"{figures['images_per_second']:.0f} images/s" if "images_per_second" in figures else "from the checkpoint"
        print(f"epoch {epoch + 1}/{params.train.epochs}  {shown}  {speed}", file=sys.stderr, flush=True)

    fit(params, data, out=layout.model, workdir=layout.cache / "checkpoints" / run_id, rank=rank, report=report)


def run_under_torchrun(params: Params, layout: Layout, device: str, processes: int, record: StageRun) -> None:
    """Start the processes and wait for them.

    Raises:
        BackendError: one of them failed.
    """
    if params.train.init_from is not None:
        start_model(params)  # what is wrong with it is said once, not by every process
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Path(folder) / "params.yaml"
        write_text(snapshot, yaml.safe_dump(dump_section(params), sort_keys=False))
        roots = [str(layout.root.resolve()), str((layout.main or layout.root).resolve())]
        status = launch("poseline.stages.train_worker", [str(snapshot), *roots, device, str(record.folder or "")], params.train, processes)
    if status:
        raise BackendError(
            f"train: one of {processes} processes ended with status {status}; see its message above. Run the stage again to resume."
        )


def summarise(layout: Layout) -> dict[str, float]:
    """The history as a plot table, and its headline figures."""
    rows = [json.loads(line) for line in (layout.model / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    write_json(layout.plots / "history.json", rows)
    scored = [row["val_ap"] for row in rows if "val_ap" in row]
    return {"epochs": len(rows), "best_val_ap": max(scored), "final_loss": rows[-1]["loss"], "final_acc": rows[-1]["acc"]}
