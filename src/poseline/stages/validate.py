"""Stage validate: the checks of one data set; errors stop the pipeline, warnings do not."""

from __future__ import annotations

from poseline.artifacts import Layout, atomic_folder, write_json
from poseline.checks.findings import Findings, describe_errors
from poseline.checks.pages import write_html
from poseline.checks.run import run_checks
from poseline.config import Params
from poseline.datasets.formats import read_set
from poseline.datasets.manifest import build_manifest
from poseline.datasets.sets import dataset_config
from poseline.errors import FindingsError


def run(params: Params, layout: Layout, name: str) -> dict[str, int]:
    """Write data/validated/NAME (findings.json, manifest.json) and reports/validation/NAME; counts of checks, errors and warnings.

    A set that is not enabled gets files that say so.

    Raises:
        FindingsError: checks of severity error failed; its text names annotation ids.
    """
    annotations = read_set(params.data, name) if dataset_config(params.data, name).enabled else []
    findings = run_checks(annotations, params.validation) if annotations else Findings(())
    pages = layout.root / "reports/validation" / name
    with atomic_folder(pages) as folder:
        write_html(findings, folder)
    if findings.errors:
        raise FindingsError(describe_errors(findings, pages / "index.html"))
    with atomic_folder(layout.validated / name) as folder:
        write_json(folder / "findings.json", findings.to_dict())
        write_json(folder / "manifest.json", build_manifest(annotations))
    return {"checks": len(findings.results), "errors": 0, "warnings": len(findings.warnings)}
