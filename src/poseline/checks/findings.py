"""What the data checks found, as plain values: the same data give the same JSON, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from poseline.datasets.json_files import Json

Severity: TypeAlias = Literal["error", "warning"]
Status: TypeAlias = Literal["passed", "failed", "crashed"]
Sample: TypeAlias = float | int | str | bool

SCHEMA_VERSION = 1
MAX_LINES = 8
MAX_IDS = 20


@dataclass(frozen=True)
class CheckResult:
    """One check on one split.

    Attributes:
        dataset: name of the data set.
        split: train or val.
        check: the expectation's name, e.g. ExpectPositiveBox.
        severity: an error stops the pipeline, a warning does not.
        status: failed means faulty data; crashed means that the check could not be made, which stops the pipeline too.
        description: what is expected.
        evaluated: how many rows the check applied to.
        unexpected: how many of them are against it.
        id_column: what ``ids`` are: annotation_id or image_id; empty for a check on a whole split.
        ids: the first 20 rows against it.
        samples: their values.
        message: why it crashed.
    """

    dataset: str
    split: str
    check: str
    severity: Severity
    status: Status
    description: str
    evaluated: int
    unexpected: int
    id_column: str = ""
    ids: tuple[int, ...] = ()
    samples: tuple[Sample, ...] = ()
    message: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it stops the pipeline."""
        return self.status == "crashed" or (self.status == "failed" and self.severity == "error")

    @property
    def is_warning(self) -> bool:
        """Whether it is reported without stopping the pipeline."""
        return self.status == "failed" and self.severity == "warning"

    def line(self) -> str:
        """The result in one line that names the rows."""
        where = f"{self.dataset} {self.split}: {self.check}"
        if self.status == "crashed":
            return f"{where}: the check crashed: {self.message}"
        if not self.ids:
            return f"{where}: expected: {self.description}; got {', '.join(str(value) for value in self.samples)}"
        more = ", ..." if self.unexpected > 5 else ""
        ids = ", ".join(str(i) for i in self.ids[:5])
        return f"{where}: {self.unexpected} of {self.evaluated} against: {self.description}; {self.id_column} {ids}{more}"


@dataclass(frozen=True)
class Page:
    """One Great Expectations page: the checks on one table of one split."""

    dataset: str
    split: str
    table: str
    body: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.dataset}_{self.split}_{self.table}.html"


@dataclass(frozen=True)
class Drawing:
    """People of one split drawn by two readings of the file.

    Attributes:
        dataset: name of the data set.
        split: train or val.
        topic: what is drawn: boxes, keypoints or sides.
        caption: what the colours mean.
        jpeg: the image file.
    """

    dataset: str
    split: str
    topic: str
    caption: str
    jpeg: bytes

    @property
    def name(self) -> str:
        """Its file name."""
        return f"{self.dataset}_{self.split}_{self.topic}.jpg"


@dataclass(frozen=True)
class Findings:
    """Every check's result, ordered by data set, split and check.

    Attributes:
        results: one entry a check and split.
        pages: Great Expectations' rendering of the same results, where the configuration wants it.
        drawings: people of splits that another reading explains better, likewise.
    """

    results: tuple[CheckResult, ...]
    pages: tuple[Page, ...] = field(default=(), repr=False)
    drawings: tuple[Drawing, ...] = field(default=(), repr=False)

    @property
    def errors(self) -> tuple[CheckResult, ...]:
        """The results that stop the pipeline."""
        return tuple(result for result in self.results if result.is_error)

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The results that are reported without stopping the pipeline."""
        return tuple(result for result in self.results if result.is_warning)

    @property
    def is_valid(self) -> bool:
        """Whether the pipeline may go on."""
        return not self.errors

    def to_dict(self, counts: Mapping[str, Json] | None = None) -> dict[str, Json]:
        """The findings fit for JSON; ``counts`` (such as the manifest's) are laid beside them."""
        status = [result.status for result in self.results]
        summary: dict[str, Json] = {
            "checks": len(self.results),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "crashed": status.count("crashed"),
            "passed": status.count("passed"),
            "valid": self.is_valid,
        }
        results: list[Json] = [
            {**asdict(result), "ids": list(result.ids), "samples": list(result.samples)} for result in self.results
        ]
        return {"schema_version": SCHEMA_VERSION, "summary": summary, **(counts or {}), "results": results}


def describe_errors(findings: Findings, page: Path) -> str:
    """One line a failed check, with the first ids, and where the whole list is."""
    lines = [f"  {result.line()}" for result in findings.errors[:MAX_LINES]]
    more = len(findings.errors) - MAX_LINES
    if more > 0:
        lines.append(f"  and {more} more checks")
    count = len(findings.errors)
    return f"validate: {count} check{'s' * (count > 1)} failed; see {page.as_posix()}:\n" + "\n".join(lines)
