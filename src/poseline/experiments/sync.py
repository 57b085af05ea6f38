"""What the store missed: spooled attempts, and stages that DVC restored from its cache without running them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import file_hash
from poseline.config import Params
from poseline.errors import BackendError, PoselineError
from poseline.experiments.events import Begin, End, Event
from poseline.experiments.ledger import WEIGHTS, Ledger
from poseline.experiments.mirror import mirror
from poseline.experiments.spool import EVENTS, claim, list_spools, read_spool, remove_spool, spool_root
from poseline.experiments.store import StoreLostError, is_refusal, one_line, tracking_uri

CHAMPION = "champion"


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Attributes:
        replayed: spooled attempts that arrived.
        in_use: spools that a live stage still writes.
        refused: events that the store will never take; they are kept in ``.cache/mlflow-spool/refused.jsonl``.
        mirrored: stages whose results were written, because they were missing.
        out_of_date: stages whose lock does not belong to the present parameters or files; run ``dvc repro``.
    """

    replayed: int = 0
    in_use: int = 0
    refused: int = 0
    mirrored: tuple[str, ...] = ()
    out_of_date: tuple[str, ...] = ()


def sync(params: Params, root: Path, *, workspace: Path | None = None) -> SyncReport:
    """Replay all spools, then mirror the workspace's present results. A second sync adds nothing.

    Raises:
        BackendError: the store does not answer; nothing is lost.
        ArtifactError: dvc.lock or a score file cannot be read.
    """
    if not params.mlflow.enabled:
        return SyncReport()
    try:
        ledger = Ledger.open(params.mlflow, root)
        replayed = replay(ledger, root)
        try:
            mirrored, out_of_date = mirror(ledger, params, workspace or root)
        except PoselineError:
            raise
        except Exception as error:  # the store's own faults have no common base
            raise StoreLostError(one_line(error)) from error
    except StoreLostError as error:
        raise BackendError(f"{error}. The log waits in {spool_root(root)}; start the store and run again: poseline sync") from None
    return SyncReport(replayed.replayed, replayed.in_use, replayed.refused, mirrored, out_of_date)


def replay(ledger: Ledger, root: Path) -> SyncReport:
    """Send all spools and remove those that arrived. A kill in between loses nothing and doubles nothing.

    Raises:
        StoreLostError: the store went away; what is left stays.
    """
    arrived = in_use = refused = 0
    for folder in list_spools(root):
        with claim(folder) as mine:
            if not mine:
                in_use += 1
                continue
            refused += _send(ledger, folder, root)
            remove_spool(folder)
            arrived += 1
    return SyncReport(arrived, in_use, refused)


def _send(ledger: Ledger, folder: Path, root: Path) -> int:
    """Apply one spool; the number of events that the store refused."""
    events = read_spool(folder)
    if not events or not isinstance(events[0], Begin):
        return 0
    if not isinstance(events[-1], End):  # its process was killed: no one else holds the spool
        events.append(End(status="KILLED", ended_ms=int((folder / EVENTS).stat().st_mtime * 1000)))
    refused: list[Event] = []
    try:
        runs = ledger.begin(events[0])
        for event in events[1:]:
            try:
                ledger.apply(event, runs)
            except Exception as error:
                if not is_refusal(error):
                    raise
                refused.append(event)
    except Exception as error:  # the store's own faults have no common base
        raise StoreLostError(one_line(error)) from error
    if refused:
        with (spool_root(root) / "refused.jsonl").open("a", encoding="utf-8") as handle:
            handle.writelines(event.model_dump_json() + "\n" for event in refused)
    return len(refused)


def set_champion(params: Params, root: Path, *, weights: Path) -> str:
    """The registry version of the logged model with these weights, now under the alias ``champion``; registered once.

    Raises:
        BackendError: the store does not answer, or knows no such model.
    """
    from mlflow.exceptions import MlflowException

    try:
        ledger = Ledger.open(params.mlflow, root)
    except StoreLostError as error:
        raise BackendError(f"{error}. The alias '{CHAMPION}' was not moved.") from None
    name, client = params.mlflow.registered_model, ledger.client
    digest = file_hash(weights)
    model_id = ledger.model_id(digest)
    if model_id is None:
        raise BackendError(f"{weights}: the experiment store knows no model with these weights. Run: poseline sync, or train it here.")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not is_refusal(error):  # it exists already: the usual case
            raise
    known = [version for version in client.search_model_versions(f"name = '{name}'") if version.tags.get(WEIGHTS) == digest]
    if known:
        made = known[0]
    else:
        run_id = client.get_logged_model(model_id).source_run_id
        with _default_store(tracking_uri(params.mlflow, root)):
            made = client.create_model_version(name, f"models:/{model_id}", run_id, {WEIGHTS: digest}, model_id=model_id)
    client.set_registered_model_alias(name, CHAMPION, made.version)
    return str(made.version)


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default: a sqlite registry resolves ``models:/<id>`` there, whatever its client's own address."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before
