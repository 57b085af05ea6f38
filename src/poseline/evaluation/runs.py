"""Where a run's scores lie, and reading them: a pipeline's, a baseline, scored files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import read_table
from poseline.datasets.score import Score, read_score_file, remedy
from poseline.errors import ArtifactError, DataError, PoselineError
from poseline.evaluation.tables import table_from_frame
from poseline.metrics.tables import ScoreTable

TABLE_SUFFIX = "_matches.parquet"
_ADVICE = "Give a folder with reports/metrics, a baseline, or what `poseline score --out` wrote."


@dataclass(frozen=True)
class RunFiles:
    """Where one score of a run lies: its metrics file, and its table of images or videos (which need not exist)."""

    metrics: Path
    matches: Path


@dataclass(frozen=True)
class ScoredRun:
    """One score of a run.

    Attributes:
        score: its metrics and protocol.
        table: matches or distances by image, or sums by video; None leaves nothing to test significance with.
        name: the run's, for messages.
    """

    score: Score
    table: ScoreTable | None = None
    name: str = "run"


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
    """The table of images or videos that belongs to a metrics file."""
    table = metrics.with_name(metrics.stem + TABLE_SUFFIX)
    if not table.is_file() and metrics.parent.name == "metrics":
        table = metrics.parent.parent / "per_person" / metrics.stem / "matches.parquet"
    return RunFiles(metrics, table)


def read_score(files: RunFiles, name: str, *, made_by: str | None = None) -> ScoredRun:
    """The score in these files; its table is None where there is no such file.

    Args:
        files: of the score.
        name: of the run.
        made_by: our command that makes the files; None for a run that lies elsewhere.

    Raises:
        ArtifactError: a file is missing or damaged, or was made under no protocol.
    """
    return ScoredRun(read_score_file(files.metrics, made_by=made_by), _read_matches(files.matches, made_by), name)


def _read_matches(path: Path, made_by: str | None) -> ScoreTable | None:
    if not path.is_file():
        return None
    table, _ = read_table(path, kind="matches", made_by=made_by)
    try:
        return table_from_frame(table)
    except PoselineError:
        raise
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ArtifactError(f"{path}: not a table of matches ({error}). {remedy(made_by)}") from None
