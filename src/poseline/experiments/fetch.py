"""Score files of earlier runs, fetched back from the experiment store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import atomic_folder
from poseline.config import Params
from poseline.errors import BackendError, DataError
from poseline.experiments.ledger import Ledger
from poseline.experiments.lineage import ROLE, STAGE
from poseline.experiments.store import StoreLostError, one_line

if TYPE_CHECKING:
    from mlflow.entities import Run

CHAMPION = "champion"
FOLDERS = ("metrics", "per_person")


def fetch_scores(params: Params, root: Path, name: str, target: Path) -> Path:
    """A folder with metrics/ and per_person/ of an execution, copied from the store into ``target``.

    Args:
        params: for the store's address and the registered model's name.
        root: the main checkout.
        name: ``champion`` (the run of the registered model under that alias), a run's id, or its name (``dvc exp run -n``).
        target: where the copy goes, in a folder of the run's id.

    Raises:
        BackendError: the store does not answer, or tracking is off.
        DataError: no such run, or it kept no score files.
    """
    if not params.mlflow.enabled:
        raise BackendError(f"{name}: neither a file nor a revision, and mlflow.enabled is false. Give a folder of scores.")
    try:
        ledger = Ledger.open(params.mlflow, root)
        parent = _find_execution(ledger, params.mlflow.registered_model, name)
        runs = [run for run in ledger.children_of(parent.info.run_id) if run.data.tags.get(STAGE, "").startswith("score")]
        with atomic_folder(target / parent.info.run_id) as folder:
            # Oldest first, so that of several attempts the newest stays.
            for run in reversed(runs):
                _download(ledger, run.info.run_id, folder)
            found = any((folder / "metrics").glob("*.json"))
    except StoreLostError as error:
        raise BackendError(f"{error}. Start the store, or give a folder of scores.") from None
    except (BackendError, DataError):
        raise
    except Exception as error:  # the store's own faults have no common base
        raise BackendError(f"the experiment store failed ({one_line(error)}). Give a folder of scores.") from None
    if not found:
        raise DataError(f"{name}: run {parent.info.run_id} kept no score files. Score it again under the tracker, or give a folder.")
    return target / parent.info.run_id


def _find_execution(ledger: Ledger, model: str, name: str) -> Run:
    """The parent run of that name."""
    if name == CHAMPION:
        return _parent_of(ledger, _champion_run(ledger, model))
    by_name = ledger.search(f"attributes.run_name = '{name.replace(chr(39), '')}' AND tags.`{ROLE}` = 'parent'")
    if by_name:
        return by_name[0]
    try:
        return _parent_of(ledger, name)
    except Exception:  # no run of that id, or no id at all: the store has one error for both
        raise DataError(f"{name}: no file, revision, experiment or MLflow run of that name. See `dvc exp show`, `mlflow ui`.") from None


def _champion_run(ledger: Ledger, model: str) -> str:
    try:
        run_id = ledger.client.get_model_version_by_alias(model, CHAMPION).run_id
    except Exception as error:
        raise DataError(f"champion: model '{model}' has no version of that alias ({one_line(error)}). Register one first.") from None
    if not run_id:
        raise DataError(f"champion: the version of model '{model}' names no run. Register a model that was trained here.")
    return str(run_id)


def _parent_of(ledger: Ledger, run_id: str) -> Run:
    run = ledger.client.get_run(run_id)
    parent = run.data.tags.get("mlflow.parentRunId")
    return ledger.client.get_run(parent) if parent else run


def _download(ledger: Ledger, run_id: str, folder: Path) -> None:
    kept = {entry.path for entry in ledger.client.list_artifacts(run_id)}
    for name in FOLDERS:
        if name in kept:
            ledger.client.download_artifacts(run_id, name, str(folder))
