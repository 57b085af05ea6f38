"""Processes of a training run: devices, the process group, and the torchrun launcher."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from poseline.config.training import TrainConfig
from poseline.errors import BackendError
from poseline.progress import VARIABLE, handed_over, is_silent
from poseline.train.interrupt import Interrupt
from poseline.train.launcher import DEBUG, NODE, Failure, read_failure

COMPILE_MODES = {"default": "default", "max-autotune": "max-autotune-no-cudagraphs"}
"""``train.compile`` to torch's mode. CUDA graphs gain nothing for batches that fill a GPU, and hold their memory twice."""

OF_A_SCHEDULER = frozenset(
    {
        "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE",
        "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID",
    }
)  # fmt: skip
"""Variables of processes that torchrun, or what looks like it, started."""


@dataclass(frozen=True)
class Rank:
    """This process among the run's processes."""

    index: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process logs, validates and writes."""
        return self.index == 0


def count_processes(config: TrainConfig, device: torch.device) -> int:
    """Processes on this machine: ``train.processes``; ``auto`` is one per GPU, or one on the CPU.

    Raises:
        BackendError: more processes than CUDA devices.
    """
    if config.processes == "auto":
        return max(torch.cuda.device_count(), 1) if device.type == "cuda" else 1
    if device.type == "cuda" and config.processes > torch.cuda.device_count():
        raise BackendError(
            f"train.processes is {config.processes}, but this machine has {torch.cuda.device_count()} CUDA devices. "
            "Lower it, or use --device cpu."
        )
    return config.processes


@dataclass(frozen=True)
class NodePlace:
    """A node among the nodes of a run.

    Attributes:
        node: its number; node 0 has the first process.
        nodes: how many there are.
        address: of node 0, as seen from here.
        port: there, at which the processes meet.
        interface: the network interface that leads there; None: the libraries choose.
    """

    node: int = 0
    nodes: int = 1
    address: str = ""
    port: int = 0
    interface: str | None = None

    def options(self) -> list[str]:
        """The options of torchrun."""
        if self.nodes == 1:
            return ["--standalone", "--nnodes=1"]
        host = f"[{self.address}]" if ":" in self.address else self.address
        return [f"--nnodes={self.nodes}", f"--node-rank={self.node}", "--rdzv-backend=static", f"--rdzv-endpoint={host}:{self.port}"]

    def environment(self) -> dict[str, str]:
        """The environment of the processes: this one's, without what a scheduler says of its own processes."""
        kept = {name: value for name, value in os.environ.items() if name not in OF_A_SCHEDULER and not name.startswith("PET_")}
        if self.nodes == 1:
            # Without this, an elastic restart after a lost rank hangs in about half of the cases (torch 2.14).
            return {**kept, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        kept[NODE] = str(self.node)
        found = {name: self.interface for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if self.interface}
        return {**found, **kept}


def launch(
    module: str,
    arguments: Sequence[str],
    config: TrainConfig,
    processes: int,
    *,
    scratch: Path,
    interrupt: Interrupt,
    place: NodePlace,
    trouble: Callable[[], bool] = lambda: False,
) -> Failure | None:
    """Run ``python -m module arguments`` in ``processes`` processes under torchrun; None, or what went wrong.

    Args:
        module: the program of each process.
        arguments: for it.
        config: threads.
        processes: on this machine.
        scratch: folder for the logs of the processes and the report of their end.
        interrupt: a signal that it notes ends the processes of node 0, which save what they have done.
        place: of this machine among the nodes.
        trouble: whether another node has ended. Those of node 0 then end in the same way; those of other nodes are killed.
    """
    environment = place.environment()
    environment.setdefault("OMP_NUM_THREADS", str(threads_per_process(config, processes)))
    if DEBUG not in environment:
        environment.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    if is_silent():
        environment[VARIABLE] = "off"
    report = scratch / "failure.json"
    command = [sys.executable, "-m", "poseline.train.launcher", str(report), f"--log-dir={scratch}"]
    command += [f"--nproc-per-node={processes}", "--max-restarts=0", *place.options()]
    with handed_over():
        # Ctrl-C on another node than the first goes to the first one, whose process saves.
        process = subprocess.Popen([*command, "-m", module, *arguments], env=environment, start_new_session=place.node > 0)
        if place.node:
            status = wait_for(process, trouble, process.kill)
        else:
            status = wait_for(process, lambda: trouble() or interrupt.signal is not None, process.terminate)
    return read_failure(report, status) if status else None


def wait_for(process: subprocess.Popen[bytes], stop: Callable[[], bool], end: Callable[[], None]) -> int:
    """The exit status of the process, which is ended, once, when it should stop."""
    stopping = False
    while True:
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if not stopping and stop():
                end()
                stopping = True


def threads_per_process(config: TrainConfig, processes: int) -> int:
    """CPU threads of one training process."""
    return config.threads or max((os.cpu_count() or 1) // processes, 1)


@contextmanager
def join_group(device: torch.device) -> Iterator[Rank]:
    """This process's rank. Under torchrun it joins the group (nccl on CUDA, gloo elsewhere) and leaves it at the end."""
    if "RANK" not in os.environ:
        yield Rank(0, 1, device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Rank(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def local_processes(rank: Rank) -> int:
    """Processes of the run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if rank.world_size > 1 else 1


def wrap_model(model: nn.Module, rank: Rank, config: TrainConfig) -> nn.Module:
    """The module that trains: the model itself, or DDP around it (with synchronised batch norm on CUDA); compiled where asked for."""
    network = model
    if rank.world_size > 1 and rank.device.type == "cuda":
        network = DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model), device_ids=[rank.device.index])
    elif rank.world_size > 1:
        network = DistributedDataParallel(model)
    if config.compile == "none":
        return network
    return cast("nn.Module", torch.compile(network, mode=COMPILE_MODES[config.compile]))


def mean_over_ranks(values: Float[Tensor, " N"], rank: Rank) -> Float[Tensor, " N"]:
    """The mean of each value over all processes, on the device; nothing waits for it."""
    if rank.world_size > 1:
        dist.all_reduce(values)
        values /= rank.world_size
    return values


def average_gradients(module: nn.Module, rank: Rank) -> None:
    """Make the gradients of a module outside DDP (a loss with weights of its own) the mean over all processes."""
    if rank.world_size == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= rank.world_size


def first_decides(verdict: bool, rank: Rank) -> bool:
    """The verdict of the first process, in all of them."""
    if rank.world_size == 1:
        return verdict
    flag = torch.tensor([float(verdict)], device=rank.device)
    dist.broadcast(flag, src=0)
    return bool(flag.item())


def wait_for_all(rank: Rank) -> None:
    """Return when every process is here."""
    if rank.world_size > 1:
        dist.barrier()
