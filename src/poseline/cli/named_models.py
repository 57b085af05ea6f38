"""Models that a user names on the command line: a path, or whatever stands for a run (see :data:`poseline.cli.app.RUN`)."""

from __future__ import annotations

import os
from pathlib import Path


def find_model(name: str) -> Path:
    """The folder of the model that a name stands for, in the project around here or, outside of any, in the store that is set.

    Raises:
        DataError: nothing of that name has a model.
        BackendError: the experiment store is needed and does not answer.
    """
    from poseline.artifacts import Layout
    from poseline.config import MlflowConfig, load_params
    from poseline.experiments.locate import locate_model
    from poseline.project import located, project_root, workspace_root
    from poseline.zoo.weight_files import cache_folder

    file = located("params.yaml")
    if file.is_file():
        return locate_model(name, load_params(file).mlflow, Layout(workspace_root(), project_root()))
    store = MlflowConfig() if os.environ.get("MLFLOW_TRACKING_URI") else None
    return locate_model(name, store, Layout(cache_folder().parent))
