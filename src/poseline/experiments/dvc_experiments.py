"""DVC's experiments in the store: those that ran in its queue, that were pulled or applied, each from its files at its revision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from poseline.artifacts import Layout, scratch_folder
from poseline.config import load_params
from poseline.errors import DataError, PoselineError
from poseline.experiments.gap import Gap, fill_gap, find_gap
from poseline.experiments.lineage import (
    KEY,
    PARAMS_HASH,
    Identity,
    LockStage,
    data_hash,
    execution_key,
    flat_params,
    hash_params,
    read_lock,
)
from poseline.experiments.mirror import Mirror
from poseline.experiments.revision import Revision, experiment_references

REFERENCE = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(?P<name>[^/]+)")
RESULTS = ("data/model", "reports/per_person", "reports/index.html", "reports/model_card.md")
"""What a record is made from, some of it in DVC's cache. Whether the store has it already, the smaller files in git say."""


@dataclass(frozen=True)
class Experiment:
    """One of DVC's experiments.

    Attributes:
        name: of the experiment.
        baseline: the commit that it started from.
        commit: its results.
    """

    name: str
    baseline: str
    commit: str


@dataclass(frozen=True)
class ExperimentsReport:
    """What was found of DVC's experiments.

    Attributes:
        experiments: how many there are.
        restored: stages that the store lacked, after the name of their experiment.
        out_of_date: stages whose lock does not belong to the experiment's parameters.
        unreadable: experiments that cannot be read, each with the reason.
    """

    experiments: int = 0
    restored: tuple[str, ...] = ()
    out_of_date: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def list_experiments(root: Path) -> list[Experiment]:
    """All experiments of a repository that have results, oldest first."""
    found = []
    for commit, reference in experiment_references(root):
        match = REFERENCE.fullmatch(reference)
        if match is not None:
            found.append(Experiment(match["name"], match[1] + match[2], commit))
    return found


def mirror_experiments(mirror: Mirror, layout: Layout, known: set[str]) -> ExperimentsReport:
    """Write what the store lacks of all experiments.

    Args:
        mirror: of the store.
        layout: the project.
        known: commits that need no more looking at; those that are in the store now are added.
    """
    root = layout.main or layout.root
    restored: list[str] = []
    out_of_date: list[str] = []
    unreadable: list[str] = []
    experiments = list_experiments(root)
    for experiment in experiments:
        if experiment.commit in known:
            continue
        try:
            gap = _mirror(mirror, experiment, root, layout.cache)
        except PoselineError as error:
            unreadable.append(f"{experiment.name}: {error}")
            continue
        restored += [f"{experiment.name}:{stage}" for stage in gap.stages]
        out_of_date += [f"{experiment.name}:{stage}" for stage in gap.stale]
        known.add(experiment.commit)
    return ExperimentsReport(len(experiments), tuple(restored), tuple(out_of_date), tuple(unreadable))


def _mirror(mirror: Mirror, experiment: Experiment, root: Path, cache: Path) -> Gap:
    """What the store lacked of an experiment, after it was written.

    Raises:
        PoselineError: its parameters, lock or scores cannot be read, by this version of poseline at least.
    """
    revision = Revision(root, experiment.commit, experiment.name)
    with TemporaryDirectory(dir=scratch_folder(cache)) as folder:
        layout = Layout(Path(folder), root)
        missing = revision.copy(("dvc.lock", "dvc.yaml", "params.yaml"), layout.root)
        if missing:
            raise DataError(f"revision {experiment.commit[:8]}: DVC cannot read {', '.join(missing)}")
        lock = read_lock(layout.root)
        revision.copy(({name for stage in lock.values() for name in stage.params} - {"params.yaml"}) | {"reports/metrics"}, layout.root)
        gap = find_gap(mirror, _identify(experiment, lock, layout.root), layout)
        if gap.stages:
            revision.copy(RESULTS, layout.root)
            fill_gap(mirror, gap, layout)
        return gap


def _identify(experiment: Experiment, lock: dict[str, LockStage], tree: Path) -> Identity:
    """The execution that an experiment is, under the key that its stages had when they ran."""
    params = load_params(tree / "params.yaml")
    params_hash = hash_params(params)
    tags = {
        KEY: execution_key(experiment.baseline, experiment.name, params_hash),
        PARAMS_HASH: params_hash,
        "poseline.data_hash": data_hash(lock),
        "mlflow.source.git.commit": experiment.baseline,
        "mlflow.source.type": "LOCAL",
        "dvc.exp": experiment.name,
        "dvc.baseline": experiment.baseline,
    }
    known = {key: value for key, value in tags.items() if value}
    return Identity(key=tags[KEY], name=experiment.name, tags=known, params=flat_params(params))
