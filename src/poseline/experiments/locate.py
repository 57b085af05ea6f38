"""The scores that a name stands for: a file, a folder, the champion, a git revision, a DVC experiment or an MLflow run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from poseline.artifacts import Layout, atomic_file, atomic_folder
from poseline.config import Params
from poseline.errors import DataError
from poseline.evaluation.runs import RunFiles, find_scores
from poseline.experiments.fetch import fetch_scores

CHAMPION = "champion"


def locate_run(target: str, params: Params, layout: Layout) -> dict[str, RunFiles]:
    """The scores that ``target`` names: a file or folder, ``champion``, a git revision, a DVC experiment, or an MLflow run.

    Raises:
        DataError: nothing of that name has scores.
        BackendError: the experiment store is needed and does not answer.
    """
    if target != CHAMPION and Path(target).exists():
        return find_scores(Path(target))
    root = layout.main or layout.root
    cache = layout.cache / "runs"
    commit = None if target == CHAMPION else find_commit(root, target)
    if commit is not None:
        return fetch_revision(root, commit, cache / commit, name=target)
    return find_scores(fetch_scores(params, root.resolve(), target, cache))


def find_commit(root: Path, name: str) -> str | None:
    """The commit of a git revision or of a DVC experiment of that name, the latest of several; None where there is neither."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit:
        return commit
    for line in _git(root, "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
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

    try:
        tree = DVCFileSystem(str(root), rev=commit)
        metrics = [path for path in tree.find("reports/metrics") if path.endswith(".json")]
        tables = [path for path in tree.find("reports/per_person") if path.endswith("/matches.parquet")]
    except Exception as error:  # DVC raises its own types, and those of every storage
        raise DataError(f"{name}: revision {commit[:8]} cannot be read ({_first_line(error)}). Give a folder of scores.") from None
    with atomic_folder(target) as folder:
        for path in (*metrics, *tables):
            try:
                content = tree.read_bytes(path)
            except Exception:  # in no cache and no remote: the score stays, without its table
                continue
            with atomic_file(folder / path.lstrip("/")) as temporary:
                temporary.write_bytes(content)
    if not metrics:
        raise DataError(f"{name}: revision {commit[:8]} has no reports/metrics. Give a revision in which the pipeline was run.")
    return find_scores(target)


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
