"""What a name stands for in every command: a folder or file, a git revision, a DVC experiment, an MLflow run or a registered model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from poseline.artifacts import Layout
from poseline.config import MlflowConfig, Params
from poseline.errors import BackendError, DataError
from poseline.experiments.champion import CHAMPION
from poseline.experiments.execution import MODELS, RUNS, Execution, find_execution
from poseline.experiments.lineage import git_output
from poseline.experiments.revision import Revision, experiment_references

if TYPE_CHECKING:
    from poseline.evaluation.runs import RunFiles


@dataclass(frozen=True)
class LocalPlace:
    """A file or folder of this machine."""

    path: Path

    def scores(self, cache: Path) -> dict[str, RunFiles]:
        """The scores in it; they need no cache.

        Raises:
            DataError: there are none.
        """
        from poseline.evaluation.runs import find_scores  # a stage, which loads this module, evaluates nothing

        return find_scores(self.path)

    def model(self, cache: Path) -> Path:
        """The folder with model.json that the path means: itself, that of a file in it, or the data/model of a project.

        Raises:
            DataError: there is none.
        """
        folders = (self.path, self.path / "data/model") if self.path.is_dir() else (self.path.parent,) if self.path.stem == "model" else ()
        for folder in folders:
            if (folder / "model.json").is_file():
                return folder
        raise DataError(f"{self.path}: no model in it. Give a folder with model.json and model.safetensors, or a project with data/model.")


Place: TypeAlias = LocalPlace | Revision | Execution
"""Where results lie. What is fetched from there is kept in a cache by its content, and fetched once."""


def locate_run(target: str, params: Params, layout: Layout) -> dict[str, RunFiles]:
    """The scores that ``target`` names, by their name.

    Raises:
        DataError: nothing of that name has scores.
        BackendError: the experiment store is needed and does not answer.
    """
    return locate(target, params.mlflow, layout).scores(layout.cache / "scores")


def locate_model(target: str, mlflow: MlflowConfig | None, layout: Layout) -> Path:
    """The folder of the trained model that ``target`` names.

    Raises:
        DataError: nothing of that name has a model.
        BackendError: the experiment store is needed and does not answer.
    """
    return locate(target, mlflow, layout).model(layout.cache / "models")


def locate(target: str, mlflow: MlflowConfig | None, layout: Layout) -> Place:
    """Where what ``target`` names lies: a path goes before a revision, a revision before a run.

    Args:
        target: the name.
        mlflow: which experiment store to look in; None: no one has named any.
        layout: the project.

    Raises:
        DataError: there is nothing of that name.
        BackendError: the experiment store is needed and does not answer, or tracking is off.
    """
    root = layout.main or layout.root
    if target != CHAMPION and not target.startswith((RUNS, MODELS)):
        if Path(target).exists():
            return LocalPlace(Path(target))
        if Path(target).is_absolute() or target.startswith("."):
            raise DataError(f"{target}: no such file or folder. Check the path.")
        commit = find_commit(root, target)
        if commit is not None:
            return Revision(root, commit, target)
    if mlflow is None:
        raise DataError(f"{target}: no file or folder of that name, no project around {Path.cwd()}, and no MLFLOW_TRACKING_URI is set.")
    if not mlflow.enabled:
        raise BackendError(f"{target}: neither a file nor a revision, and mlflow.enabled is false. Give a folder.")
    return find_execution(target, mlflow, layout)


def find_commit(root: Path, name: str) -> str | None:
    """The commit of a git revision or of a DVC experiment of that name, the latest of several; None where there is neither."""
    commit = git_output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit:
        return commit
    for sha, reference in experiment_references(root, newest_first=True):
        if reference.rpartition("/")[2] == name and not reference.startswith("refs/exps/exec/"):
            return sha
    return None
