"""What the store lacks of the results that lie in a tree, by its dvc.lock, and writing it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseline.artifacts import Layout
from poseline.config.params import Yaml
from poseline.core.yaml_text import parse_yaml
from poseline.experiments.lineage import KEY, PARAMS_HASH, RESTORED, STAGE, Identity, LockStage, read_lock
from poseline.experiments.mirror import Mirror
from poseline.experiments.outputs import read_history, read_metrics, score_files
from poseline.experiments.record import HISTORY, RecordFolder
from poseline.experiments.run import finish

if TYPE_CHECKING:
    from mlflow.entities import Run

SAME = 1e-12


@dataclass(frozen=True)
class Gap:
    """What the store lacks of the results in a tree.

    Attributes:
        identity: of the execution that they belong to, under the key of its row in the store.
        stages: that no run of the store has.
        stale: stages whose results belong to other parameters or files; nothing is lacking then.
    """

    identity: Identity
    stages: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


def find_gap(mirror: Mirror, identity: Identity, layout: Layout) -> Gap:
    """The stages of dvc.lock whose results no run of the store has.

    Raises:
        ArtifactError: dvc.lock or a score file cannot be read.
    """
    lock = _present_stages(layout.root)
    stale = tuple(name for name, stage in lock.items() if not is_current(stage, layout.root))
    files = {name: score_files(layout, name.partition("@")[2]) for name in lock if name.startswith("score@")}
    if stale or not any(files.values()):
        return Gap(identity, stale=stale)
    headline = {name: read_metrics(paths, headline=True) for name, paths in files.items()}
    parent = _matching_parent(mirror, identity, {key: value for scores in headline.values() for key, value in scores.items()})
    children: dict[str, Run] = {}
    if parent is not None:
        key = parent.data.tags[KEY]
        identity = identity.model_copy(update={"key": key, "tags": {**identity.tags, KEY: key}})
        children = {run.data.tags.get(STAGE, ""): run for run in reversed(mirror.children_of(parent.info.run_id))}
    lacking = []
    for name in lock:
        if _holds(children.get(name), read_metrics(files.get(name, ()))) and parent is not None and _has(parent, headline.get(name, {})):
            continue
        lacking.append(name)
    return Gap(identity, tuple(lacking))


def fill_gap(mirror: Mirror, gap: Gap, layout: Layout) -> None:
    """Write the stages that the store lacks, each as a record of a stage that did not run, made from its files."""
    for stage in gap.stages:
        folder = RecordFolder.create(layout, stage, gap.identity, store=mirror.store)
        if stage == "train":
            for epoch, values in read_history(layout.model / "history.jsonl"):
                folder.append(HISTORY, values, epoch)
        finish(folder, layout, "FINISHED", result={}, restored=True)
        mirror.send(folder)


def is_current(stage: LockStage, workspace: Path) -> bool:
    """True when a locked stage was made by the parameter files as they are, and its report files are those it made."""
    for name, wanted in stage.params.items():
        raw = _read_yaml(workspace / name)
        if any(_lookup(raw, key) != value for key, value in wanted.items()):
            return False
    reports = ((workspace / out.path, out.md5) for out in stage.outs if out.path.startswith("reports/"))
    return all(hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == md5 for path, md5 in reports if path.is_file())


def _present_stages(workspace: Path) -> dict[str, LockStage]:
    """Locked stages with results that dvc.yaml still has; dvc.lock keeps those of a data set that is no longer listed."""
    lock = {name: stage for name, stage in read_lock(workspace).items() if stage.outs}
    if not (workspace / "dvc.yaml").is_file():
        return lock
    present = set(stage_names(workspace))
    return {name: stage for name, stage in lock.items() if name in present}


def stage_names(workspace: Path) -> Iterator[str]:
    """The stages of dvc.yaml as dvc.lock names them: ``NAME``, or ``NAME@ITEM`` for each item of a ``foreach``."""
    stages, params = _read_yaml(workspace / "dvc.yaml").get("stages", {}), _read_yaml(workspace / "params.yaml")
    for name, entry in stages.items():
        items = entry.get("foreach")
        if items is None:
            yield name
            continue
        listed = _lookup(params, items.strip("${}")) if isinstance(items, str) else items
        if isinstance(listed, dict | list):
            yield from (f"{name}@{item}" for item in listed)


def _matching_parent(mirror: Mirror, identity: Identity, headline: Mapping[str, float]) -> Run | None:
    """The execution's own parent, else one with the same parameters and scores.

    The second finds an experiment that ran under a name (``dvc exp run``), and a commit that only recorded the results.
    """
    own = mirror.parent_of(identity.key)
    return own or next((run for run in mirror.parents_with(identity.tags[PARAMS_HASH]) if _has(run, headline)), None)


def _holds(child: Run | None, scores: Mapping[str, float]) -> bool:
    """True when a stage's run has these results, or is at work on them."""
    if child is None:
        return False
    return (child.info.status == "FINISHED" and _has(child, scores)) or (child.info.status == "RUNNING" and RESTORED not in child.data.tags)


def _has(run: Run, values: Mapping[str, float]) -> bool:
    has = run.data.metrics
    return all(key in has and math.isclose(has[key], value, rel_tol=SAME, abs_tol=SAME) for key, value in values.items())


def _read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty where there is no file, or nothing in it."""
    return (parse_yaml(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def _lookup(tree: Yaml, key: str) -> Yaml:
    """The value under ``a.b``, None where there is none."""
    for name in key.split("."):
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree
