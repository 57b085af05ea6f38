"""Stage validate: the checks of every enabled set; errors stop the pipeline, warnings do not."""

from __future__ import annotations

from poseline.artifacts import Layout, atomic_folder, write_json
from poseline.checks import Findings, run_checks, write_html
from poseline.config import Params
from poseline.datasets.manifest import build_manifest
from poseline.datasets.sets import read_all
from poseline.errors import FindingsError

MAX_LINES = 8


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/validated (findings.json, manifest.json) and reports/validation; counts of checks, errors and warnings.

    Raises:
        FindingsError: checks of severity error failed; its text names annotation ids.
    """
    annotations = read_all(params)
    findings = run_checks(annotations, params.validation)
    with atomic_folder(layout.root / "reports/validation") as folder:
        write_html(findings, folder)
    if findings.errors:
        raise FindingsError(describe_errors(findings))
    with atomic_folder(layout.validated) as folder:
        write_json(folder / "findings.json", findings.to_dict())
        write_json(folder / "manifest.json", build_manifest(annotations))
    return {"checks": len(findings.results), "errors": 0, "warnings": len(findings.warnings)}


def describe_errors(findings: Findings) -> str:
    """One line a failed check, with the first ids, and where the whole list is."""
    lines = [f"  {result.line()}" for result in findings.errors[:MAX_LINES]]
    more = len(findings.errors) - MAX_LINES
    if more > 0:
        lines.append(f"  and {more} more checks")
    count = len(findings.errors)
    return f"validate: {count} check{'s' * (count > 1)} failed; see reports/validation/index.html:\n" + "\n".join(lines)
