"""The scores that a name stands for: a file, a folder, the champion, a git revision, a DVC experiment or an MLflow run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import Layout, atomic_file, atomic_folder
from poseline.config import Params
from poseline.errors import BackendError, DataError
from poseline.evaluation.runs import RunFiles, find_scores
from poseline.experiments.champion import CHAMPION
from poseline.experiments.lineage import ROLE, STAGE, git_output
from poseline.experiments.mirror import Mirror
from poseline.experiments.store import StoreLostError, one_line, store_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

FOLDERS = ("metrics", "per_person")
RUNS = "runs:/"
MODEL = re.compile(r"models:/(?P<model>[^@/]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def locate_run(target: str, params: Params, layout: Layout) -> dict[str, RunFiles]:
    """The scores that ``target`` names, by their name.

    Raises:
        DataError: nothing of that name has scores.
        BackendError: the experiment store is needed and does not answer.
    """
    if target != CHAMPION and Path(target).exists():
        return find_scores(Path(target))
    root = layout.main or layout.root
    commit = None if target == CHAMPION else find_commit(root, target)
    if commit is not None:
        return fetch_revision(root, commit, layout.cache / "scores" / commit, name=target)
    return find_scores(fetch_scores(params, layout, target))


def find_commit(root: Path, name: str) -> str | None:
    """The commit of a git revision or of a DVC experiment of that name, the latest of several; None where there is neither."""
    commit = git_output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit:
        return commit
    for line in git_output(root, "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        sha, _, reference = line.partition(" ")
        if reference.rpartition("/")[2] == name and not reference.startswith("refs/exps/exec/"):
            return sha
    return None


def fetch_revision(root: Path, commit: str, target: Path, *, name: str) -> dict[str, RunFiles]:
    """The scores of a revision, copied out of git and DVC's cache into ``target``.

    Tables that neither holds any more are left out, and so is whatever the pipeline had not scored by then.

    Raises:
        DataError: the revision has no scores.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    prefix = git_output(root, "rev-parse", "--show-prefix")  # of a revision, paths count from the repository's root
    faults = (DvcException, SCMError, OSError, ValueError)
    try:
        tree = DVCFileSystem(str(root), rev=commit, subrepos=bool(prefix))
        metrics = [path for path in tree.find(f"{prefix}reports/metrics") if path.endswith(".json")]
        tables = [path for path in tree.find(f"{prefix}reports/per_person") if path.endswith("/matches.parquet")]
    except faults as error:
        raise DataError(f"{name}: revision {commit[:8]} cannot be read ({one_line(error)}). Give a folder of scores.") from None
    with atomic_folder(target) as folder:
        for path in (*metrics, *tables):
            try:
                content = tree.read_bytes(path)
            except faults:  # in no cache and no remote: the score stays, without its table
                continue
            with atomic_file(folder / path.lstrip("/").removeprefix(prefix)) as temporary:
                temporary.write_bytes(content)
    if not metrics:
        raise DataError(f"{name}: revision {commit[:8]} has no reports/metrics. Give a revision in which the pipeline was run.")
    return find_scores(target)


def fetch_scores(params: Params, layout: Layout, name: str) -> Path:
    """A folder with metrics/ and per_person/ of an execution, copied from the store into the cache.

    Args:
        params: for the store's address and the registered model's name.
        layout: the project.
        name: ``champion`` (the run of the registered model under that alias), ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, a
            run's id or ``runs:/ID``, or its name (``dvc exp run -n``).

    Raises:
        BackendError: the store does not answer, or tracking is off.
        DataError: no such run, or it kept no score files.
    """
    if not params.mlflow.enabled:
        raise BackendError(f"{name}: neither a file nor a revision, and mlflow.enabled is false. Give a folder of scores.")
    try:
        mirror = Mirror.open(params.mlflow, layout)
        with store_errors():
            parent = _find_execution(mirror, name)
            runs = [run for run in mirror.children_of(parent.info.run_id) if run.data.tags.get(STAGE, "").startswith("score")]
            target = layout.cache / "scores" / parent.info.run_id
            with atomic_folder(target) as folder:
                for run in reversed(runs):  # oldest first, so that of several attempts the newest stays
                    _download(mirror, run.info.run_id, folder)
    except StoreLostError as error:
        raise BackendError(f"{error}. Start the store, or give a folder of scores.") from None
    if not any((target / "metrics").glob("*.json")):
        raise DataError(f"{name}: run {parent.info.run_id} kept no score files. Score it again under the tracker, or give a folder.")
    return target


def _find_execution(mirror: Mirror, name: str) -> Run:
    """The parent run of that name."""
    from mlflow.exceptions import MlflowException

    if name == CHAMPION or name.startswith("models:"):
        return _parent_of(mirror, _model_run(mirror, name))
    if name.startswith(RUNS):
        name = name.removeprefix(RUNS).partition("/")[0]
    by_name = mirror.search(f"attributes.run_name = '{name.replace(chr(39), '')}' AND tags.`{ROLE}` = 'parent'")
    if by_name:
        return by_name[0]
    try:
        return _parent_of(mirror, name)
    except MlflowException:  # no run of that id, or no id at all: the store has one error for both
        raise DataError(f"{name}: no file, revision, experiment or MLflow run of that name. See `dvc exp show`, `mlflow ui`.") from None


def _model_run(mirror: Mirror, name: str) -> str:
    """The run of a registered model: ``champion``, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``."""
    from mlflow.exceptions import MlflowException

    found = MODEL.fullmatch(f"models:/{mirror.model}@{CHAMPION}" if name == CHAMPION else name)
    if found is None:
        raise DataError(f"{name}: expected models:/NAME@ALIAS or models:/NAME/VERSION, for example models:/{mirror.model}@{CHAMPION}")
    model, alias, version = found["model"], found["alias"], found["version"]
    try:
        get = mirror.client.get_model_version_by_alias if alias else mirror.client.get_model_version
        run_id = get(model, alias or version).run_id
    except MlflowException as error:
        which = f"of the alias '{alias}'" if alias else f"'{version}'"
        raise DataError(f"{name}: model '{model}' has no version {which} ({one_line(error)}). Register one first.") from None
    if not run_id:
        raise DataError(f"{name}: that version of model '{model}' names no run. Register a model that was trained here.")
    return str(run_id)


def _parent_of(mirror: Mirror, run_id: str) -> Run:
    run = mirror.client.get_run(run_id)
    parent = run.data.tags.get("mlflow.parentRunId")
    return mirror.client.get_run(parent) if parent else run


def _download(mirror: Mirror, run_id: str, folder: Path) -> None:
    kept = {entry.path for entry in mirror.client.list_artifacts(run_id)}
    for name in FOLDERS:
        if name in kept:
            mirror.client.download_artifacts(run_id, name, str(folder))
