"""Command join: this machine takes part in a training that another one runs."""

from __future__ import annotations

import os
import re
import time
from typing import Annotated

import typer

from poseline.cli.app import AsJson, Device, Overrides, ParamsFile, advised, app, run, show
from poseline.errors import ConfigError
from poseline.progress import note

UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


@app.command()
def join(
    address: Annotated[
        str | None, typer.Argument(metavar="[HOST:PORT]", help="train.rendezvous of node 0; under a scheduler that names one, not needed.")
    ] = None,
    wait: Annotated[str, typer.Option("--wait", help="How long for node 0 and the other nodes: 90s, 15m, 1h.")] = "15m",
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Also with another commit, uncommitted changes or other code than node 0's.")
    ] = False,
    params: ParamsFile = None,
    overrides: Overrides = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Take part in the training of another machine: no outputs and no record here.

    Under torchrun or Slurm the first node trains (as `poseline train`), and the others join it.
    """
    from poseline.train.scheduler import find_place
    from poseline.train.wire import parse_address

    seconds, place = parse_wait(wait), find_place(os.environ)
    address = address or (place.address if place else None)
    where = parse_address(address, "join")
    if place is not None and place.local:
        note(f"node {place.node}: the first process of the node starts the others; this one, number {place.local}, has nothing to do")
        return
    if place is not None and place.node == 0:
        of_job = [f"train.nodes={place.nodes}", f"train.rendezvous={address}", f"train.wait_minutes={seconds / 60}"]
        train_as_first([*(overrides or []), *of_job], params, device, as_json)
        return
    from poseline.stages import join as stage
    from poseline.stages.runner import make_context
    from poseline.train.interrupt import end_quickly

    end_quickly()
    started, context = time.perf_counter(), make_context(params, overrides or [], device)
    number = place.node if place else None
    with advised(params, overrides):
        result = stage.run(context.params, context.layout, device, where, seconds, any_code=any_code, place=number)
    show(result, as_json=as_json, title="join", started=started)


def train_as_first(overrides: list[str], params: ParamsFile, device: str, as_json: bool) -> None:
    """Train as node 0 of a scheduler's job."""
    from poseline.stages import train as stage

    run("train", lambda context, record: stage.run(context.params, context.layout, context.device, record), params, overrides,
        device=device, as_json=as_json)  # fmt: skip


def parse_wait(text: str) -> float:
    """Seconds of a time such as 90, 90s, 15m or 1h.

    >>> parse_wait("15m"), parse_wait("2.5s"), parse_wait("90")
    (900.0, 2.5, 90.0)

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or not float(found[1]):
        raise ConfigError(f"join --wait: expected a time such as 90s, 15m or 1h, got '{text}'.")
    return float(found[1]) * UNITS_S[found[2]]
