"""Models that a user names on the command line: a path, or whatever stands for a run (see :data:`poseline.cli.app.RUN`)."""

from __future__ import annotations

import json
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


def score_model(
    name: str,
    sets: list[str] | None,
    out: Path | None,
    params: Path | None,
    overrides: list[str] | None,
    device: str,
    *,
    as_json: bool,
    require_value: bool,
) -> None:
    """Score the model of that name on data sets of the project (None: all that are enabled), print it, and write it to a folder."""
    from poseline.cli.score_table import format_scores
    from poseline.datasets.sets import enabled_sets
    from poseline.evaluation.scoring import require_values, write_file_score
    from poseline.experiments.locate import locate_model
    from poseline.progress import note
    from poseline.stages import score_model as stage
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], device)
    folder = locate_model(name, context.params.mlflow, context.layout)
    note(f"{name} is {folder}")
    made = stage.run(context.params, context.layout, device, sets or enabled_sets(context.params.data), folder)
    for key, files in made.items():
        if out is not None:
            write_file_score(out, key, files)
        if not as_json:
            print(f"{key}:\n{format_scores(files.score)}")
    if as_json:
        print(json.dumps({key: files.score.to_json() for key, files in made.items()}, allow_nan=False))
    for files in made.values() if require_value else ():
        require_values(files.score)
