"""What the store lacks: records that wait, stages that DVC restored from its cache without running them, and DVC's other experiments."""

from __future__ import annotations

from dataclasses import dataclass

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.errors import BackendError
from poseline.experiments.dvc_experiments import ExperimentsReport, mirror_experiments
from poseline.experiments.gap import fill_gap, find_gap
from poseline.experiments.lineage import identify
from poseline.experiments.mirror import Mirror
from poseline.experiments.record import locked
from poseline.experiments.store import StoreLostError, store_errors


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Attributes:
        sent: records that waited and arrived.
        running: records that a live stage still writes.
        refused: values that the store will never take.
        restored: stages that DVC restored and the store lacked.
        out_of_date: stages whose lock does not belong to the present parameters or files; run ``dvc repro``.
        experiments: how many of DVC's experiments were looked at.
        unreadable: those of them that cannot be read, each with the reason.
    """

    sent: int = 0
    running: int = 0
    refused: int = 0
    restored: tuple[str, ...] = ()
    out_of_date: tuple[str, ...] = ()
    experiments: int = 0
    unreadable: tuple[str, ...] = ()


def sync(params: Params, layout: Layout, *, every: bool = False, known: set[str] | None = None) -> SyncReport:
    """Write all records that wait, then the workspace's present results. A second sync adds nothing.

    Args:
        params: for the store, and of the workspace's results.
        layout: the project.
        every: write the results of all of DVC's experiments too, from their files at their revisions.
        known: commits of experiments that need no more looking at; those that are in the store now are added.

    Raises:
        BackendError: the store does not answer; nothing is lost.
        ArtifactError: dvc.lock, a record or a score file cannot be read.
    """
    if not params.mlflow.enabled:
        return SyncReport()
    try:
        mirror = Mirror.open(params.mlflow, layout)
        sent, running = mirror.catch_up()
        with store_errors(), locked(layout.cache / "mlflow-sync.lock"):
            gap = find_gap(mirror, identify(params, layout.root.resolve()), layout)
            fill_gap(mirror, gap, layout)
            found = mirror_experiments(mirror, layout, set() if known is None else known) if every else ExperimentsReport()
    except StoreLostError as error:
        raise BackendError(f"{error}. The records wait in .cache/runs; start the store and run again: poseline sync") from None
    refused = sum(len(progress.refused) for progress in sent)
    return SyncReport(
        len(sent), running, refused, gap.stages + found.restored, gap.stale + found.out_of_date, found.experiments, found.unreadable
    )
