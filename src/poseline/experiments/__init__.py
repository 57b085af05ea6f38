"""Experiment tracking; the only package that imports mlflow, and only when a run is opened.

The pipeline works with the store down: what could not be logged waits in a spool until :func:`sync`.
"""

from poseline.experiments.fetch import fetch_scores
from poseline.experiments.lineage import Identity, identify, read_lock
from poseline.experiments.run import NullRun, StageRun, open_stage
from poseline.experiments.score_metrics import headline_metrics, report_metrics
from poseline.experiments.spool import list_spools
from poseline.experiments.store import init_store, probe_store, tracking_uri
from poseline.experiments.sync import SyncReport, replay, set_champion, sync
from poseline.experiments.view import view_path

__all__ = [
    "Identity",
    "NullRun",
    "StageRun",
    "SyncReport",
    "fetch_scores",
    "headline_metrics",
    "identify",
    "init_store",
    "list_spools",
    "open_stage",
    "probe_store",
    "read_lock",
    "replay",
    "report_metrics",
    "set_champion",
    "sync",
    "tracking_uri",
    "view_path",
]
