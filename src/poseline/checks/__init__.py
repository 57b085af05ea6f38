"""Data validation. Great Expectations lives here and nowhere else, and loads when a check runs, not before."""

from poseline.checks.findings import CheckResult, Findings
from poseline.checks.pages import write_html
from poseline.checks.run import run_checks

__all__ = ["CheckResult", "Findings", "run_checks", "write_html"]
