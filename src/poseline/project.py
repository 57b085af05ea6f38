"""Where the project lies: its main checkout (stores, caches) and the tree that a command works on."""

from __future__ import annotations

import os
from pathlib import Path

MARKERS = ("dvc.yaml", "params.yaml")


def project_root() -> Path:
    """The main checkout, absolute: ``$DVC_ROOT``, else the nearest parent with dvc.yaml or params.yaml, else here.

    A queued ``dvc exp run`` works in a temporary copy while ``$DVC_ROOT`` still names the main checkout, so whatever outlives an
    experiment (experiment store, caches, in-progress checkpoints) is anchored here.
    """
    named = os.environ.get("DVC_ROOT")
    return Path(named).resolve() if named else workspace_root()


def workspace_root() -> Path:
    """The tree whose params.yaml, dvc.lock and reports are in use: the nearest parent with dvc.yaml or params.yaml, else here."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if any((folder / name).is_file() for name in MARKERS)), here)
