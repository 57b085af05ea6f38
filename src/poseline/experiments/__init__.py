"""Experiments: files are the record, MLflow is their mirror. The only package that imports mlflow, and only when a run is opened.

What a run knows is in its record (:mod:`poseline.experiments.record`) and in the pipeline's files; :mod:`poseline.experiments.mirror`
writes what the store lacks, in a process of its own (:mod:`poseline.experiments.sender`) and in :func:`sync`. With the store away nothing
else happens: the next mirror catches up.
"""

from poseline.experiments.champion import set_champion
from poseline.experiments.lineage import Identity, identify
from poseline.experiments.record import pending_records
from poseline.experiments.run import StageRun, open_stage
from poseline.experiments.store import init_store, probe_store, shown_uri, tracking_uri
from poseline.experiments.sync import SyncReport, sync

__all__ = [
    "Identity",
    "StageRun",
    "SyncReport",
    "identify",
    "init_store",
    "open_stage",
    "pending_records",
    "probe_store",
    "set_champion",
    "shown_uri",
    "sync",
    "tracking_uri",
]
