"""Stage train: one model for every benchmark, in this process or in several under torchrun."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import yaml

from poseline import errors
from poseline.artifacts import Layout, file_hash, scratch_folder, write_json, write_text
from poseline.config import Params, dump_section
from poseline.errors import BackendError, PoselineError
from poseline.experiments import StageRun
from poseline.experiments.locate import locate_model
from poseline.models.device import resolve_device
from poseline.progress import note, significant
from poseline.project import existing
from poseline.stages.nodes import error_of, with_nodes
from poseline.train.checkpoint import checkpoint_file, describe_saved, fingerprint
from poseline.train.distributed import Rank, count_processes, join_group, launch
from poseline.train.interrupt import Interrupt
from poseline.train.launcher import Failure
from poseline.train.loop import fit
from poseline.train.sources import check_people, load_training_data, models_before
from poseline.train.trainer import start_model


def run(params: Params, layout: Layout, device: str, record: StageRun) -> dict[str, float]:
    """Write data/model and reports/plots/history.json; the best validation AP and the epochs trained.

    Raises:
        ConfigError: more processes than people to train on, or ``train.init_from`` is another network.
        BackendError: a training process died.
    """
    start = find_start(params, layout)
    processes = count_processes(params.train, resolve_device(device))
    check_people(load_training_data(layout.processed, params), processes * params.train.nodes)
    if processes > 1 or params.train.nodes > 1:
        run_under_torchrun(params, layout, device, processes, record, start)
    else:
        with join_group(resolve_device(device)) as rank:
            train_rank(params, layout, rank, record, start)
    return summarise(layout)


def find_start(params: Params, layout: Layout) -> Path | None:
    """The folder of the model that ``train.init_from`` names: a path, or whatever `poseline compare` takes.

    Raises:
        DataError: nothing of that name has a model.
        BackendError: the experiment store is needed and does not answer.
    """
    named = params.train.init_from
    if named is None:
        return None
    path = existing(named, key="train.init_from")
    try:
        found = locate_model(str(path if path.exists() else named), params.mlflow, layout)
    except PoselineError as error:
        error.args = (f"train.init_from: {error}",)
        raise
    if not path.exists():
        note(f"train.init_from: {named} is {found}")
    return found


def train_rank(
    params: Params, layout: Layout, rank: Rank, record: StageRun, start: Path | None, workdir: Path | None = None
) -> None:  # fmt: skip
    """One process's share of the run; ``workdir`` is the folder of its checkpoints where the parameters of this node do not say it."""
    data = load_training_data(layout.processed, params)

    def report(figures: dict[str, float], epoch: int) -> None:
        record.log_metrics({f"train.{name}": value for name, value in figures.items()}, step=epoch + 1)
        scores = [f"{name} {figures[name]:.4f}" for name in ("acc", "val_ap") if name in figures]
        speed = f"{figures['images_per_second']:.0f} images/s" if "images_per_second" in figures else "from the checkpoint"
        words = [f"epoch {epoch + 1}/{params.train.epochs}", f"loss {significant(figures['loss'])}", *scores, speed]
        print("  ".join(words), file=sys.stderr, flush=True)

    workdir = workdir or checkpoint_folder(params, layout, data.hash, rank.world_size, start)
    fit(params, data, out=layout.model, workdir=workdir, rank=rank, report=report, start=start)


def checkpoint_folder(params: Params, layout: Layout, data_hash: str, world_size: int, start: Path | None = None) -> Path:
    """Where a run of these parameters, on these data and from these models, keeps its checkpoint until it is finished."""
    train = params.train.model_copy(update={"rendezvous": None, "wait_minutes": 0.0})  # another port is the same run
    sections = [params.data, params.codec, params.model, params.loss, params.augment, train, params.preprocess]
    parts = [str(params.seed), str(world_size), data_hash, *(str(dump_section(section)) for section in sections)]
    return layout.cache / "checkpoints" / fingerprint([*parts, *models_before(params, start)])


def run_under_torchrun(
    params: Params, layout: Layout, device: str, processes: int, record: StageRun, start: Path | None
) -> None:  # fmt: skip
    """Start the processes and wait for them.

    Raises:
        PoselineError: one of them failed; of the type that it raised, else a BackendError.
    """
    if params.train.init_from is not None:
        start_model(params, start)  # what is wrong with it is said once, not by every process
    world_size = processes * params.train.nodes
    workdir = checkpoint_folder(params, layout, file_hash(layout.processed / "crops.parquet"), world_size, start)
    with (
        tempfile.TemporaryDirectory(dir=scratch_folder(layout.cache)) as folder, Interrupt() as interrupt,
        with_nodes(params, layout, device, processes, workdir, interrupt, record) as (place, others),
    ):  # fmt: skip
        arguments = worker_arguments(Path(folder), params, layout, device, record, start, workdir)
        failure = launch(
            "poseline.stages.train_worker", arguments, params.train, processes, scratch=Path(folder), interrupt=interrupt, place=place,
            trouble=others.stopped,
        )  # fmt: skip
        saved = describe_saved(checkpoint_file(workdir), params.train.epochs)
        if interrupt.signal is not None:
            raise interrupt.error(saved)
        if failure is None:
            return
        trouble = others.first_cause() if failure.follows() else others.trouble
        if trouble is not None:
            raise error_of(trouble, saved)
        raise failure_error(failure, world_size, saved)


def worker_arguments(
    folder: Path, params: Params, layout: Layout, device: str, record: StageRun, start: Path | None, workdir: Path
) -> list[str]:  # fmt: skip
    """What each process is told; the parameters lie in ``folder``."""
    snapshot = folder / "params.yaml"
    write_text(snapshot, yaml.safe_dump(dump_section(params), sort_keys=False))
    roots = [str(layout.root.resolve()), str((layout.main or layout.root).resolve())]
    return [str(snapshot), *roots, device, str(record.folder or ""), str((start and start.resolve()) or ""), str(workdir.resolve())]


def failure_error(failure: Failure, world_size: int, saved: str, who: str = "train") -> PoselineError:
    """The error of processes that failed, of the type that the first of them raised, else a BackendError."""
    raised = getattr(errors, failure.error.partition(":")[0], None)
    kind = raised if isinstance(raised, type) and issubclass(raised, PoselineError) else BackendError
    return kind(f"{who}: {failure.describe(world_size).rstrip('.')}. {saved} --debug shows what the processes said.")


def summarise(layout: Layout) -> dict[str, float]:
    """The history as a plot table, and its headline figures."""
    rows = [json.loads(line) for line in (layout.model / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    write_json(layout.plots / "history.json", rows)
    scored = [row["val_ap"] for row in rows if "val_ap" in row]
    return {"epochs": len(rows), "best_val_ap": max(scored), "final_loss": rows[-1]["loss"], "final_acc": rows[-1]["acc"]}
