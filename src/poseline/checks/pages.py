"""The findings as HTML: Great Expectations' data docs, page by page, behind an index of our own.

Great Expectations' own page loads its style and scripts from six servers; here they stand alone, and the same data give the
same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.checks.findings import CheckResult, Findings, Page

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.view.view import DefaultJinjaPageView

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #c62828; --warn: #b26a00; --good: #2e7d32; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; } h2, h5, h6 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
td table { width: auto; font-size: .9em; } td table th, td table td { border: 1px solid var(--line); padding: .1rem .5rem; }
code, pre { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
.failed.error, .crashed, .text-danger { color: var(--bad); } .failed.warning, .text-warning { color: var(--warn); }
figure { margin: .6rem 0; } img { max-width: 100%; }
.passed, .text-success { color: var(--good); } .badge { font-weight: 600; } .note { opacity: .75; }
.fa-times::before { content: "\\2717"; } .fa-check-circle::before { content: "\\2713"; } .fa-exclamation-triangle::before { content: "!"; }
i { font-style: normal; font-weight: 700; } .collapse { display: none; }
"""
SHELL = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body>
{body}
</body></html>
"""


def render_page(result: ExpectationSuiteValidationResult, *, dataset: str, split: str, table: str) -> Page:
    """Great Expectations' page of one table's results, without what it loads from elsewhere, its ids and times."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    html = str(_page_view().render(ValidationResultsPageRenderer().render(result)))  # type: ignore[no-untyped-call]
    start, end = html.index('<div id="section-2"'), html.index("<footer>")
    body = re.sub(r"<script.*?</script>|<!--.*?-->", "", html[start:end], flags=re.DOTALL)
    body = re.sub(r"<p class=\"m-0\">\s*<a data-toggle=\"collapse\".*?</p>", "", body, flags=re.DOTALL)
    body = re.sub(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", body)
    return Page(dataset, split, table, re.sub(r"\s*\n\s*", "\n", body))


@lru_cache(maxsize=1)
def _page_view() -> DefaultJinjaPageView:
    """Great Expectations' page templates: each view compiles them anew, which costs more than the checks."""
    from great_expectations.render.view.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def write_html(findings: Findings, folder: Path) -> Path:
    """The path of the written ``index.html``; beside it one page a table of each split, and drawings. Older ones are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.html"), *folder.glob("*.jpg")]:
        old.unlink()
    for drawing in findings.drawings:
        (folder / drawing.name).write_bytes(drawing.jpeg)
    for page in findings.pages:
        title = f"{page.dataset} {page.split}: {page.table}"
        body = f'<p><a href="index.html">All checks</a></p>\n<h1>{escape(title)}</h1>\n{page.body}'
        (folder / page.name).write_text(SHELL.format(title=escape(title), style=STYLE, body=body), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(SHELL.format(title="Data validation", style=STYLE, body=_index_body(findings)), encoding="utf-8")
    return index


def _index_body(findings: Findings) -> str:
    errors, warned = len(findings.errors), len(findings.warnings)
    verdict = "The data are valid." if findings.is_valid else "The data are not valid: the errors below stop the pipeline."
    parts = [f"<h1>Data validation</h1>\n<p>{verdict} {len(findings.results)} checks, {errors} errors, {warned} warnings.</p>"]
    for key in dict.fromkeys((result.dataset, result.split) for result in findings.results):
        own = [result for result in findings.results if (result.dataset, result.split) == key]
        links = ", ".join(f'<a href="{p.name}">{p.table}</a>' for p in findings.pages if (p.dataset, p.split) == key)
        parts.append(f"<h2>{escape(' '.join(key))}</h2>" + (f'<p class="note">Great Expectations pages: {links}</p>' if links else ""))
        for drawing in findings.drawings:
            if (drawing.dataset, drawing.split) == key:
                image = f'<img src="{drawing.name}" alt="{drawing.topic}">'
                parts.append(f"<figure>{image}<figcaption>{escape(drawing.caption)}</figcaption></figure>")
        parts.append(_result_table(sorted(own, key=_urgency)))
    return "\n".join(parts)


def _urgency(result: CheckResult) -> int:
    return 0 if result.is_error else 1 if result.is_warning else 2


def _result_table(results: Sequence[CheckResult]) -> str:
    rows = [_result_row(result) for result in results]
    head = "<tr><th>Result</th><th>Check</th><th>Expected</th><th>Checked</th><th>Against</th><th>Which</th></tr>"
    return f"<table><thead>{head}</thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"


def _result_row(result: CheckResult) -> str:
    word = "passed" if result.status == "passed" else "check crashed" if result.status == "crashed" else result.severity
    which = result.message
    if result.ids:
        told = [value if not isinstance(value, bool) and value != i else None for i, value in zip(result.ids, result.samples, strict=False)]
        shown = [str(i) if value is None else f"{i} ({value})" for i, value in zip(result.ids, told, strict=False)]
        more = f" and {result.unexpected - len(shown)} more" if result.unexpected > len(shown) else ""
        which = f"{result.id_column} {', '.join(shown)}{more}"
    elif result.status == "failed":
        which = f"got {', '.join(str(value) for value in result.samples)}"
    cells = f"<td>{result.check}</td><td>{escape(result.description)}</td>"
    numbers = f'<td class="number">{result.evaluated:,}</td><td class="number">{result.unexpected:,}</td>'
    return f'<tr><td class="{result.status} {result.severity}">{word}</td>{cells}{numbers}<td>{escape(which)}</td></tr>'
