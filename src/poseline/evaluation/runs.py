"""Where a run's scores lie, whoever made them: a pipeline, a baseline, scored files, a git revision, an MLflow run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout, atomic_file, atomic_folder, read_json, read_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.errors import ArtifactError, DataError, PoselineError
from poseline.evaluation.bootstrap import Table
from poseline.evaluation.gate_rule import ScoredRun
from poseline.evaluation.match_tables import table_from_frame
from poseline.evaluation.protocol import Protocol
from poseline.experiments import fetch_scores

CHAMPION = "champion"
TABLE_SUFFIX = "_matches.parquet"
# What the PoseTrack stamp says beyond the common one.
POSETRACK_EXTRAS = ("mode", "tracker")
_ADVICE = "Give a folder with reports/metrics, a baseline, or what `poseline score --out` wrote."


@dataclass(frozen=True)
class RunFiles:
    """Where one score of a run lies: its metrics file, and its table of pictures or videos (which need not exist)."""

    metrics: Path
    matches: Path


@dataclass(frozen=True)
class ReadScore:
    """One score of a run.

    Attributes:
        run: its numbers, protocol and table; slices are among the numbers as ``ap_SLICE`` and ``ar_SLICE``.
        raw: the whole metrics file.
    """

    run: ScoredRun
    raw: dict[str, Yaml]


def find_scores(path: Path) -> dict[str, RunFiles]:
    """The scores of a file or folder by name: NAME.json with NAME_matches.parquet beside it, or metrics/ with per_person/.

    Raises:
        DataError: there are none.
    """
    if path.is_file():
        return {path.stem: _beside(path)}
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder. {_ADVICE}")
    for folder in (path / "reports/metrics", path / "metrics", path):
        found = {file.stem: _beside(file) for file in sorted(folder.glob("*.json"))}
        if found:
            return found
    raise DataError(f"{path}: no scores in it. {_ADVICE}")


def _beside(metrics: Path) -> RunFiles:
    """The table of pictures or videos that belongs to a metrics file."""
    table = metrics.with_name(metrics.stem + TABLE_SUFFIX)
    if not table.is_file() and metrics.parent.name == "metrics":
        table = metrics.parent.parent / "per_person" / metrics.stem / "matches.parquet"
    return RunFiles(metrics, table)


def read_score(files: RunFiles, name: str) -> ReadScore:
    """The score in these files; its table is None where there is no such file.

    Raises:
        ArtifactError: a file is missing or damaged, or was made under no protocol.
    """
    raw = read_json(files.metrics, made_by="score")
    protocol = raw.get("protocol")
    if not isinstance(protocol, dict):
        raise ArtifactError(f"{files.metrics}: has no protocol. Run `poseline score` again.")
    stamp = Protocol.from_dict({key: value for key, value in protocol.items() if key not in POSETRACK_EXTRAS})
    return ReadScore(ScoredRun(_numbers(raw), stamp, _read_matches(files.matches), name), raw)


def _numbers(raw: dict[str, Yaml]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    slices = raw.get("slices")
    for name, entry in slices.items() if isinstance(slices, dict) else ():
        for kind in ("ap", "ar"):
            value = entry.get(kind) if isinstance(entry, dict) else None
            values[f"{kind}_{name}"] = float(value) if isinstance(value, int | float) else None
    for key, value in raw.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            values[key] = float(value)
    return values


def _read_matches(path: Path) -> Table | None:
    if not path.is_file():
        return None
    table, _ = read_table(path, kind="matches", made_by="score")
    try:
        return table_from_frame(table)
    except PoselineError:
        raise
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ArtifactError(f"{path}: not a table of matches ({error}). Run `poseline score` again.") from None


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
