"""Where a run's scores lie, whoever made them: a pipeline, a baseline, scored files, a git revision, an MLflow run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout, read_json, read_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.errors import ArtifactError, DataError, PoselineError
from poseline.evaluation.bootstrap import Table
from poseline.evaluation.gate_rule import ScoredRun
from poseline.evaluation.match_tables import table_from_frame
from poseline.evaluation.protocol import Protocol

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
    """The scores that ``target`` names; see :func:`poseline.experiments.locate.locate_run`."""
    from poseline.experiments import locate

    return locate.locate_run(target, params, layout)
