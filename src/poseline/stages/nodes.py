"""Node 0 of a training on several machines: it calls the others, and trains with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import yaml

from poseline.artifacts import Layout
from poseline.config import Params, dump_section
from poseline.errors import BackendError, ConfigError, PoselineError, StoppedError
from poseline.experiments import StageRun
from poseline.experiments.facts import gather_facts
from poseline.models.device import resolve_device
from poseline.progress import handed_over
from poseline.train.companions import Companions, Trouble
from poseline.train.distributed import NodePlace
from poseline.train.interrupt import Interrupt
from poseline.train.newest import level, marked
from poseline.train.roll_call import call_nodes, present, telling
from poseline.train.wire import Message, Plan, free_port, interface_of, parse_address


def with_nodes(
    params: Params, layout: Layout, device: str, processes: int, workdir: Path, interrupt: Interrupt, record: StageRun
) -> AbstractContextManager[tuple[NodePlace, Companions]]:
    """This machine's place, and the other nodes; where train.nodes is 1 it is alone.

    Args:
        params: all parameters; they are those of all nodes.
        layout: the project.
        device: as the command names it.
        processes: of this machine.
        workdir: folder of the run's checkpoints.
        interrupt: a signal ends the waiting.
        record: takes the load of the other machines.

    Raises:
        ConfigError: train.rendezvous is no address, or a node is in another state.
        BackendError: the port is in use, or not all nodes came in time.
        StoppedError: a signal arrived.
    """
    if params.train.nodes == 1:
        return nullcontext((NodePlace(), Companions([], None, workdir)))
    return _call(params, layout, device, processes, workdir, interrupt, record)


@contextmanager
def _call(
    params: Params, layout: Layout, device: str, processes: int, workdir: Path, interrupt: Interrupt, record: StageRun
) -> Iterator[tuple[NodePlace, Companions]]:
    where, training = parse_address(params.train.rendezvous, "train.rendezvous"), params.train
    facts = gather_facts(params, layout, resolve_device(device).type, processes)
    with handed_over():
        listener, joined = call_nodes(where, facts, training.nodes, 60 * training.wait_minutes, interrupt)
    with telling(joined, listener), marked(workdir) as mark:
        port, own, text = free_port(), joined[0].channel.own_address, yaml.safe_dump(dump_section(params), sort_keys=False)
        for one in joined:
            plan = Plan(node=one.node, nodes=training.nodes, port=port, run=workdir.name, mark=mark, params=text)
            with present(one):
                one.channel.send(Message(kind="plan", plan=plan))
        level(joined, workdir)
        with Companions(joined, listener, workdir, record.log_load) as companions:
            yield NodePlace(0, training.nodes, own, port, interface_of(own)), companions


def error_of(trouble: Trouble, saved: str) -> PoselineError:
    """The error of a run that another node ended; ``saved`` says what is on disk."""
    text = f"train: {trouble.text.rstrip('.')}. {saved}"
    if trouble.signal is not None:
        return StoppedError(text, by_user=trouble.signal == "SIGINT")
    return ConfigError(text) if trouble.code == ConfigError.exit_code else BackendError(text)
