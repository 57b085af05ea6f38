"""Results of an execution of the pipeline that the experiment store holds: of a run, by name or id, or of a registered model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from poseline.artifacts import Layout, atomic_folder
from poseline.config import MlflowConfig
from poseline.errors import BackendError, DataError
from poseline.experiments.champion import CHAMPION
from poseline.experiments.fetched import keep_model
from poseline.experiments.lineage import ROLE, STAGE, WEIGHTS
from poseline.experiments.mirror import Mirror
from poseline.experiments.outputs import MODEL_FOLDER
from poseline.experiments.store import StoreLostError, one_line, store_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

    from poseline.evaluation.runs import RunFiles

FOLDERS = ("metrics", "per_person")
RUNS, MODELS = "runs:/", "models:"
MODEL = re.compile(r"models:/(?P<model>[^@/]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Execution:
    """An execution in a store.

    Attributes:
        mirror: of the store.
        run: the run that the name means: of the execution, or of one of its stages.
        parent: the run of the execution.
        name: as the user gave it.
    """

    mirror: Mirror
    run: Run
    parent: Run
    name: str

    def scores(self, cache: Path) -> dict[str, RunFiles]:
        """The score files that the execution kept; of several attempts at a stage, the newest's.

        Raises:
            DataError: it kept none.
            BackendError: the store does not answer.
        """
        from poseline.evaluation.runs import find_scores  # a stage, which loads this module, evaluates nothing

        with needed_store(self.name):
            runs = [run for run in self.mirror.children_of(self.parent.info.run_id) if run.data.tags.get(STAGE, "").startswith("score")]
            versions = [f"{run.info.run_id} {run.info.end_time}" for run in runs]  # a run that has ended changes no more
            target = cache / f"{self.parent.info.run_id}-{hashlib.sha256(' '.join(versions).encode()).hexdigest()[:16]}"
            if not target.is_dir() or not all(run.info.end_time for run in runs):
                with atomic_folder(target) as folder:
                    for run in reversed(runs):  # oldest first
                        self._download_scores(run.info.run_id, folder)
        if not any((target / "metrics").glob("*.json")):
            raise DataError(
                f"{self.name}: run {self.parent.info.run_id} kept no score files. Score it again under the tracker, or give a folder."
            )
        return find_scores(target)

    def model(self, cache: Path) -> Path:
        """The model that the execution trained, or else the one that it scored.

        Raises:
            DataError: the store has none of it.
            BackendError: the store does not answer.
        """
        with needed_store(self.name):
            run_id = self._training()
            if run_id is None:
                raise DataError(
                    f"{self.name}: run {self.parent.info.run_id} kept no model. Name an execution that trained one, or give a folder."
                )

            def fetch(name: str, folder: Path) -> None:
                with TemporaryDirectory(dir=folder) as scratch:
                    Path(self.mirror.client.download_artifacts(run_id, f"{MODEL_FOLDER}/{name}", scratch)).replace(folder / name)

            return keep_model(cache, fetch)

    def _training(self) -> str | None:
        """The run that kept the folder of the model."""
        trained = [run for run in self.mirror.children_of(self.parent.info.run_id) if run.data.tags.get(STAGE) == "train"]
        runs = [self.run.info.run_id, *(run.info.run_id for run in trained)]
        weights = self.parent.data.tags.get(WEIGHTS)
        model_id = self.mirror.model_id(weights) if weights else None
        if model_id is not None:
            runs.append(str(self.mirror.client.get_logged_model(model_id).source_run_id))
        return next((run_id for run_id in dict.fromkeys(runs) if self.mirror.client.list_artifacts(run_id, MODEL_FOLDER)), None)

    def _download_scores(self, run_id: str, folder: Path) -> None:
        kept = {entry.path for entry in self.mirror.client.list_artifacts(run_id)}
        for name in FOLDERS:
            if name in kept:
                self.mirror.client.download_artifacts(run_id, name, str(folder))


def find_execution(name: str, config: MlflowConfig, layout: Layout) -> Execution:
    """The execution with a run of that name or id, or the one that made a registered model.

    Args:
        name: ``champion`` (the registered model under that alias), ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, a run's id or
            ``runs:/ID``, or its name (``dvc exp run -n``).
        config: the store's address, and the registered model's name.
        layout: the project.

    Raises:
        DataError: there is none.
        BackendError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    with needed_store(name):
        mirror = Mirror.open(config, layout)
        if name == CHAMPION or name.startswith(MODELS):
            return _execution_of(mirror, _model_run(mirror, name), name)
        named = name.removeprefix(RUNS).partition("/")[0] if name.startswith(RUNS) else name
        by_name = mirror.search(f"attributes.run_name = '{named.replace(chr(39), '')}' AND tags.`{ROLE}` = 'parent'")
        if by_name:
            return Execution(mirror, by_name[0], by_name[0], name)
        try:
            return _execution_of(mirror, named, name)
        except MlflowException:  # no run of that id, or no id at all: the store has one error for both
            looked = f"Looked from {Path.cwd()}, in git and DVC of {(layout.main or layout.root).resolve()}, and in {mirror.shown}"
            raise DataError(
                f"{name}: no file, revision, experiment or MLflow run of that name. {looked}. See `dvc exp show`, `mlflow ui`."
            ) from None


@contextmanager
def needed_store(name: str) -> Iterator[None]:
    """Work that nothing can do without the store.

    Raises:
        BackendError: the store does not answer, or failed.
    """
    try:
        with store_errors():
            yield
    except StoreLostError as error:
        raise BackendError(f"{name}: {error}. Start the store, or give a folder of scores or of a model.") from None


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


def _execution_of(mirror: Mirror, run_id: str, name: str) -> Execution:
    run = mirror.client.get_run(run_id)
    parent = run.data.tags.get("mlflow.parentRunId")
    return Execution(mirror, run, mirror.client.get_run(parent) if parent else run, name)
