"""Stage validate: the checks of every enabled set; errors stop the pipeline, warnings do not."""

from __future__ import annotations

from poseline.artifacts import Layout, atomic_folder, write_json
from poseline.config import Params
from poseline.data.checks import Findings, build_manifest, run_checks, write_html
from poseline.errors import FindingsError
from poseline.stages.datasets import read_all


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/validated (findings.json, manifest.json) and reports/validation; counts of checks, errors and warnings.

    Raises:
        FindingsError: checks of severity error failed; its text names annotation ids.
    """
    annotations = read_all(params, layout)
    findings = run_checks(annotations, params.validation)
    with atomic_folder(layout.root / "reports/validation") as folder:
        write_html(findings, folder)
    if findings.errors:
        # Kept outside the stage's outputs: a failed stage must leave none.
        write_json(layout.cache / "findings.json", findings.to_dict())
        raise FindingsError(describe(findings, layout))
    with atomic_folder(layout.validated) as folder:
        write_json(folder / "findings.json", findings.to_dict())
        write_json(folder / "manifest.json", build_manifest(annotations))
    return {"checks": len(findings.results), "errors": 0, "warnings": len(findings.warnings)}
