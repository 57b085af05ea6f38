"""A node that joins a training that another machine runs: no stage, no outputs, no record."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poseline.artifacts import Layout, scratch_folder
from poseline.config import Params, parse_params
from poseline.core.yaml_text import parse_yaml
from poseline.errors import BackendError, ConfigError, DataError, PoselineError, StoppedError
from poseline.experiments import StageRun
from poseline.experiments.facts import gather_facts
from poseline.experiments.lineage import read_lock
from poseline.experiments.load import LoadSampler
from poseline.experiments.run import INTERVAL_S
from poseline.models.device import resolve_device
from poseline.progress import note, phase
from poseline.stages.train import failure_error, worker_arguments
from poseline.train.companions import LAST_WORDS_S, Membership
from poseline.train.distributed import NodePlace, count_processes, launch
from poseline.train.interrupt import Interrupt
from poseline.train.newest import offer
from poseline.train.roll_call import report_in
from poseline.train.wire import Message, Plan, interface_of

LOCAL = ("threads", "workers")
"""Values of ``train`` that are this machine's own."""


def run(
    params: Params, layout: Layout, device: str, where: tuple[str, int], wait_s: float, *, any_code: bool = False, place: int | None = None
) -> dict[str, int]:  # fmt: skip
    """Take part in the training of node 0 at ``where`` until it ends; this node's number and processes.

    Args:
        params: of this machine, compared with node 0's, which decide.
        layout: the project; only its cache is written to.
        device: as the command names it.
        where: host and port of node 0.
        wait_s: for node 0 and the other nodes.
        any_code: take part with another commit, or with uncommitted changes, all the same.
        place: this node's number under a scheduler.

    Raises:
        ConfigError: this machine is in another state than node 0.
        DataError: the processed data are neither here nor where DVC could fetch them.
        BackendError: node 0 or another node does not come in time, or the training ended with an error.
        StoppedError: a signal ended it, here or on node 0.
    """
    kind = resolve_device(device).type
    processes = count_processes(params.train, resolve_device(device))
    fetch_data(layout)
    with phase("reads its data"):
        facts = gather_facts(params, layout, kind, processes)
    hello = Message(kind="hello", facts=facts, host=socket.gethostname(), place=place, any_code=any_code)
    with Interrupt() as interrupt:
        channel, plan, _ = report_in(where, hello, wait_s, interrupt)
        try:
            folder = layout.cache / "checkpoints" / plan.run
            shared = offer(channel, folder, plan.mark)
            member = Membership(channel, None if shared else folder, interrupt)
            there = NodePlace(plan.node, plan.nodes, channel.peer_address, plan.port, interface_of(channel.own_address))
            note(f"trains as node {plan.node} of {plan.nodes}")
            with sampling(params, member):
                take_part(params, layout, device, plan, there, member, interrupt, processes)
        finally:
            channel.close()
    return {"node": plan.node, "nodes": plan.nodes, "processes": processes}


def fetch_data(layout: Layout) -> None:
    """Bring data/processed here, where it is missing and dvc.lock names it.

    Raises:
        DataError: DVC does not know it, or has it nowhere.
    """
    if (layout.processed / "crops.parquet").is_file():
        return
    root, target = layout.root.resolve(), layout.processed.relative_to(layout.root).as_posix()
    if not any(out.path == target for stage in read_lock(root).values() for out in stage.outs):
        raise DataError(f"join: {target} is missing, and dvc.lock does not name it. Pull the commit of node 0, then run: dvc pull {target}")
    note(f"{target} is missing here: dvc pull {target}")
    with phase(f"dvc pull {target}"):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "pull", "--quiet", target], cwd=root, capture_output=True, text=True, check=False
        )  # fmt: skip
    if done.returncode or not (layout.processed / "crops.parquet").is_file():
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = said[0].removeprefix("ERROR: ") if said else "it brought no crops"
        raise DataError(f"join: {target} is missing, and DVC could not pull it: {reason}. On node 0 run: dvc push {target}")


@contextmanager
def sampling(params: Params, member: Membership) -> Iterator[None]:
    """Tell node 0 the load of this machine every ten seconds, where the record has such metrics."""
    if not (params.mlflow.enabled and params.mlflow.system_metrics):
        yield
        return
    over = threading.Event()

    def watch() -> None:
        sampler = LoadSampler()
        while not over.wait(INTERVAL_S):
            member.send_load(sampler.sample())

    threading.Thread(target=watch, name="load", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def take_part(
    params: Params, layout: Layout, device: str, plan: Plan, place: NodePlace, member: Membership, interrupt: Interrupt, processes: int
) -> None:  # fmt: skip
    """Run this node's processes, and raise what ended the training."""
    theirs = params_here(params, plan)
    with tempfile.TemporaryDirectory(dir=scratch_folder(layout.cache)) as folder:
        arguments = worker_arguments(Path(folder), theirs, layout, device, StageRun(), None, layout.cache / "checkpoints" / plan.run)
        failure = launch(
            "poseline.stages.train_worker", arguments, theirs.train, processes, scratch=Path(folder), interrupt=interrupt, place=place,
            trouble=member.trouble,
        )  # fmt: skip
    if failure is None and interrupt.signal is None:
        member.say_end(0, "")
        ended = member.last_words(LAST_WORDS_S)
    else:
        follows = failure is None or interrupt.signal is not None or failure.follows()
        ended = member.last_words(LAST_WORDS_S if follows else 0.0)
        if ended is None and failure is not None and not member.gone:
            member.say_end(BackendError.exit_code, failure.describe(processes * plan.nodes))
    if interrupt.signal is not None:
        raise interrupt.error(f"Node 0: {ended.text if ended else 'is gone'}", who="join")
    if ended is not None and ended.code:
        raise error_with_code(ended.code, f"join: node 0 ended the training: {ended.text}")
    if failure is not None and not member.gone:
        raise failure_error(failure, processes * plan.nodes, "", who="join")
    if ended is None:
        raise BackendError("join: node 0 is gone. Start the training there again, then join again: it goes on from the newest checkpoint.")


def params_here(params: Params, plan: Plan) -> Params:
    """Node 0's parameters, with the paths and what else is this machine's own. The start of the weights comes from node 0."""
    theirs = parse_params(parse_yaml(plan.params), source="node 0's parameters")
    own = {key: getattr(params.train, key) for key in LOCAL}
    train = theirs.train.model_copy(update={**own, "init_from": None})
    mlflow = params.mlflow.model_copy(update={"enabled": False})
    return theirs.model_copy(update={"train": train, "data": params.data, "mlflow": mlflow})


def error_with_code(code: int, text: str) -> PoselineError:
    """The error that ends a command with this exit code."""
    if code in (StoppedError("").exit_code, StoppedError("", by_user=True).exit_code):
        return StoppedError(text, by_user=code == StoppedError("", by_user=True).exit_code)
    return ConfigError(text) if code == ConfigError.exit_code else BackendError(text)
