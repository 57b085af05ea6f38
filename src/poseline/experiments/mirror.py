"""Results in the workspace that no run of this store made: DVC restored them from its cache, and a restored stage executes nothing."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.experiments.events import Begin, End, LogMetrics, MetricRow, Target
from poseline.experiments.ledger import MIRRORED, Ledger, now_ms
from poseline.experiments.lineage import KEY, PARAMS_HASH, STAGE, Identity, LockStage, identify, read_lock
from poseline.experiments.score_metrics import headline_metrics, read_history, report_metrics

if TYPE_CHECKING:
    from mlflow.entities import Run

SAME = 1e-12


def mirror(ledger: Ledger, params: Params, workspace: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the present results where they are missing: (stages written, stages out of date).

    Nothing is written while a stage is out of date: its results belong to other parameters.

    Raises:
        ArtifactError: dvc.lock or a score file cannot be read.
    """
    lock = _present_stages(workspace)
    stale = tuple(name for name, stage in lock.items() if not is_current(stage, workspace))
    owners = _score_owners(lock, workspace)
    if stale or not owners:
        return (), stale
    headline = {key: value for path in owners for key, value in headline_metrics(path).items()}
    identity = identify(params, workspace)
    parent = _matching_parent(ledger, identity, headline) or ledger.create_parent(identity, now_ms())
    identity = _joined(identity, parent)
    children = {run.data.tags.get(STAGE): run for run in ledger.children_of(parent.info.run_id)}
    written = []
    for name, stage in lock.items():
        scores = {key: value for path, owner in owners.items() if owner == name for key, value in report_metrics(path).items()}
        begin = Begin(session=_session(identity, name, stage), stage=name, identity=identity, started_ms=now_ms(), mirrored=True)
        if _mirror_stage(ledger, children.get(name), begin, scores=scores, curve=_curve(stage, workspace)):
            written.append(name)
    missing = _missing(parent, headline, "parent")
    if missing:
        ledger.log_rows(parent.info.run_id, missing)
    return tuple(written), ()


def is_current(stage: LockStage, workspace: Path) -> bool:
    """True when a locked stage was made by the parameter files as they are, and its report files are those it made."""
    for name, wanted in stage.params.items():
        raw = yaml.safe_load((workspace / name).read_text(encoding="utf-8")) if (workspace / name).is_file() else {}
        if any(_lookup(raw, key) != value for key, value in wanted.items()):
            return False
    for out in stage.outs:
        path = workspace / out.path
        if out.path.startswith("reports/") and path.is_file() and _md5(path) != out.md5:
            return False
    return True


def _present_stages(workspace: Path) -> dict[str, LockStage]:
    """Locked stages that dvc.yaml still has."""
    pipeline = workspace / "dvc.yaml"
    lock = read_lock(workspace)
    if not pipeline.is_file():
        return lock
    names = (yaml.safe_load(pipeline.read_text(encoding="utf-8")) or {}).get("stages", {})
    return {name: stage for name, stage in lock.items() if name.partition("@")[0] in names}


def _score_owners(lock: dict[str, LockStage], workspace: Path) -> dict[Path, str]:
    """Score files that exist, with the stage that made each."""
    folder = Layout(workspace).metrics
    paths = {workspace / out.path: name for name, stage in lock.items() for out in stage.outs}
    owned = {path: name for path, name in paths.items() if path.parent == folder and path.suffix == ".json" and path.is_file()}
    whole = [(path, name) for path, name in paths.items() if path == folder]
    return owned | {path: name for out, name in whole for path in sorted(out.glob("*.json"))}


def _matching_parent(ledger: Ledger, identity: Identity, headline: dict[str, float]) -> Run | None:
    """The execution's own parent, else one with the same parameters and scores.

    The second finds an experiment that ran under a name (``dvc exp run``), and a commit that only recorded the results.
    """
    found = ledger.parent_of(identity.key)
    if found is not None:
        return found
    return next((run for run in ledger.parents_with(identity.tags[PARAMS_HASH]) if not _missing(run, headline, "parent")), None)


def _joined(identity: Identity, parent: Run) -> Identity:
    """The identity under the key of the parent that was found."""
    key = parent.data.tags[KEY]
    return identity.model_copy(update={"key": key, "tags": {**identity.tags, KEY: key}})


def _mirror_stage(ledger: Ledger, child: Run | None, begin: Begin, *, scores: dict[str, float], curve: tuple[MetricRow, ...]) -> bool:
    """Write one stage's results; True when something was missing."""
    if child is not None and (child.info.status == "FINISHED" or (child.info.status == "RUNNING" and MIRRORED not in child.data.tags)):
        rows = _missing(child, scores, "child")
        if rows:
            ledger.log_rows(child.info.run_id, rows)
        return bool(rows)
    runs = ledger.begin(begin)
    rows = _missing(ledger.client.get_run(runs.child_id), scores, "child")
    ledger.apply(LogMetrics(rows=(*rows, *curve)), runs)
    ledger.apply(End(status="FINISHED", ended_ms=now_ms()), runs)
    return True


def _missing(run: Run, values: dict[str, float], target: Target) -> tuple[MetricRow, ...]:
    """Rows for the values that the run lacks or has otherwise."""
    has, now = run.data.metrics, now_ms()
    lacking = {
        key: value for key, value in values.items() if key not in has or not math.isclose(has[key], value, rel_tol=SAME, abs_tol=SAME)
    }
    return tuple(MetricRow(key=key, value=value, time_ms=now, target=target) for key, value in lacking.items())


def _curve(stage: LockStage, workspace: Path) -> tuple[MetricRow, ...]:
    """Learning curves of the stage that made the model, at the file's own time so that a repeat adds no row."""
    path = Layout(workspace).model / "history.jsonl"
    if not path.is_file() or not any(path.is_relative_to(workspace / out.path) for out in stage.outs):
        return ()
    time_ms = int(path.stat().st_mtime * 1000)
    return tuple(
        MetricRow(key=key, value=value, time_ms=time_ms, step=step) for step, row in read_history(path) for key, value in row.items()
    )


def _session(identity: Identity, name: str, stage: LockStage) -> str:
    digests = {out.path: out.md5 for out in stage.outs}
    return "mirror-" + hashlib.sha256(json.dumps([identity.key, name, digests], sort_keys=True).encode()).hexdigest()[:24]


def _md5(path: Path) -> str:
    """DVC's digest of a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _lookup(tree: Yaml, key: str) -> Yaml:
    """The value under ``a.b``, None where there is none."""
    for name in key.split("."):
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree
