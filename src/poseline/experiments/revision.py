"""Results of a git revision or a DVC experiment, read out of git, DVC's cache and its remotes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import atomic_file, atomic_folder
from poseline.errors import DataError
from poseline.experiments.fetched import keep_model
from poseline.experiments.lineage import git_output
from poseline.experiments.store import one_line

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

    from poseline.evaluation.runs import RunFiles

WHOLE = ".whole"
"""Marks a folder of fetched scores that lacks none of the revision's tables."""


@dataclass(frozen=True)
class Revision:
    """A commit of the project.

    Attributes:
        root: the project; where it is a part of a repository, the paths of a revision count from the repository's root all the same.
        commit: its hash.
        name: as the user gave it.
    """

    root: Path
    commit: str
    name: str

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.name}: revision {self.commit[:8]}"

    @cached_property
    def prefix(self) -> str:
        """The project's path below the repository, with a slash at its end; empty where it is the repository."""
        return git_output(self.root, "rev-parse", "--show-prefix")

    def scores(self, cache: Path) -> dict[str, RunFiles]:
        """The scores of the revision. Tables that neither git nor DVC holds any more are left out.

        Raises:
            DataError: it has none.
        """
        from poseline.evaluation.runs import find_scores  # a stage, which loads this module, evaluates nothing

        target = cache / self.commit
        if not (target / WHOLE).is_file():
            self._fetch_scores(target)
        return find_scores(target)

    def model(self, cache: Path) -> Path:
        """The trained model of the revision.

        Raises:
            DataError: it has none, or no cache or remote holds it any more.
        """

        def fetch(name: str, folder: Path) -> None:
            self.tree.get_file(f"{self.prefix}data/model/{name}", str(folder / name))

        with self._faults("no data/model at hand. Run the pipeline there, or fetch it: dvc fetch"):
            return keep_model(cache, fetch)

    def _fetch_scores(self, target: Path) -> None:
        """Copy the scores into a folder."""
        with atomic_folder(target) as folder:
            missing = self.copy(("reports/metrics", "reports/per_person"), folder, names=("*.json", "matches.parquet"))
            if not any((folder / "reports/metrics").glob("*.json")):
                raise DataError(f"{self.title} has no reports/metrics. Give a revision in which the pipeline was run.")
            if not missing:
                (folder / WHOLE).touch()

    def copy(self, places: Iterable[str], target: Path, *, names: Iterable[str] = ("*",)) -> list[str]:
        """Copy files, and folders with all below them, out of git and DVC; those that are in no cache and no remote any more.

        Args:
            places: paths from the project; what the revision does not have is passed over.
            target: the folder to copy into.
            names: patterns of the files' names.

        Raises:
            DataError: the revision cannot be read.
        """
        missing, found = [], []
        with self._faults("not readable"):
            tree = self.tree
        for place in places:
            try:
                found += tree.find(f"{self.prefix}{place}")
            except faults():  # a folder whose list of files is in no cache
                missing.append(place)
        for path in found:
            below = path.lstrip("/").removeprefix(self.prefix)
            if not any(fnmatch(Path(below).name, name) for name in names):
                continue
            try:
                content = tree.read_bytes(path)
            except faults():
                missing.append(below)
                continue
            with atomic_file(target / below) as temporary:
                temporary.write_bytes(content)
        return missing

    @cached_property
    def tree(self) -> DVCFileSystem:
        """The files of the revision."""
        from dvc.api import DVCFileSystem

        return DVCFileSystem(str(self.root), rev=self.commit, subrepos=bool(self.prefix))

    @contextmanager
    def _faults(self, problem: str) -> Iterator[None]:
        """Turn the faults of git and DVC into one line."""
        try:
            yield
        except faults() as error:
            raise DataError(f"{self.title}: {problem} ({one_line(error)}). Give another revision, or a folder.") from None


def faults() -> tuple[type[BaseException], ...]:
    """What git and DVC may raise."""
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError
    from scmrepo.exceptions import SCMError

    return (DvcException, DataIndexDirError, SCMError, OSError, ValueError)


def experiment_references(root: Path, *, newest_first: bool = False) -> list[tuple[str, str]]:
    """Commit and reference of each of DVC's experiments, oldest first by default; of other refs that DVC keeps there, too."""
    order = f"--sort={'-' * newest_first}committerdate"
    lines = git_output(root, "for-each-ref", order, "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    return [(commit, reference) for commit, _, reference in (line.partition(" ") for line in lines)]
