"""Which node of a job this process is on, as a scheduler says it in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poseline.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """A process of a job of several nodes.

    Attributes:
        node: number of its node.
        nodes: of the job.
        local: number of the process on its node.
        address: ``HOST:PORT`` that the scheduler gives for the first node; None: none.
    """

    node: int
    nodes: int
    local: int = 0
    address: str | None = None


def find_place(environment: Mapping[str, str]) -> Place | None:
    """Where this process is; None outside a job of several nodes.

    torchrun's variables (RANK, WORLD_SIZE, GROUP_RANK, ..., which Kubernetes' PyTorchJob sets too) go before Slurm's.

    >>> find_place({"SLURM_PROCID": "1", "SLURM_NODEID": "1", "SLURM_NNODES": "4", "SLURM_LOCALID": "0"})
    Place(node=1, nodes=4, local=0, address=None)
    >>> find_place({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "job-master-0", "MASTER_PORT": "23456"})
    Place(node=1, nodes=2, local=0, address='job-master-0:23456')

    Raises:
        ConfigError: a variable that is no number, or out of range.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        found = _of_torchrun(environment)
    elif "SLURM_PROCID" in environment:
        found = _of_slurm(environment)
    else:
        return None
    if not 0 <= found.node < max(found.nodes, 1):
        raise ConfigError(f"join: the scheduler says node {found.node} of {found.nodes}: check RANK and WORLD_SIZE, or SLURM_NODEID.")
    return found if found.nodes > 1 else None


def _of_torchrun(environment: Mapping[str, str]) -> Place:
    local_size = _number(environment, "LOCAL_WORLD_SIZE", 1) or 1
    node = _number(environment, "GROUP_RANK", _number(environment, "RANK") // local_size)
    nodes = _number(environment, "GROUP_WORLD_SIZE", _number(environment, "WORLD_SIZE") // local_size)
    # Under torchrun itself the port is taken, by its own store.
    named = "MASTER_ADDR" in environment and "MASTER_PORT" in environment and "TORCHELASTIC_RUN_ID" not in environment
    address = f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}" if named else None
    return Place(node, nodes, _number(environment, "LOCAL_RANK", 0), address)


def _of_slurm(environment: Mapping[str, str]) -> Place:
    tasks = _number(environment, "SLURM_NTASKS", 1)
    nodes = _number(environment, "SLURM_STEP_NUM_NODES", _number(environment, "SLURM_NNODES", tasks))
    node = _number(environment, "SLURM_NODEID", _number(environment, "SLURM_PROCID"))
    return Place(node, nodes, _number(environment, "SLURM_LOCALID", 0))


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdigit():
        raise ConfigError(f"join: {name} of the scheduler is '{text or ''}', expected a number.")
    return int(text)
