"""The gate's decision for people and machines: Markdown for a pull request's comment, JUnit XML for a CI server."""

from __future__ import annotations

from xml.etree import ElementTree

from poseline.evaluation.gate import GateDecision


def write_markdown(decision: GateDecision) -> str:
    """A short Markdown summary with a row per metric.

    >>> print(write_markdown(GateDecision(False, "there is no baseline.")).splitlines()[0])
    ### poseline gate: failed
    """
    lines = [f"### poseline gate: {'passed' if decision.passed else 'failed'}", "", decision.reason, ""]
    if decision.checks:
        lines += ["| metric | baseline | candidate | difference | interval | smallest drop seen | tolerated drop | |"]
        lines.append("|---|---|---|---|---|---|---|---|")
    for check in decision.checks:
        result = check.result
        if result is None:
            lines.append(f"| {check.metric} | | | | | | {100 * check.max_drop:.2f} | {check.reason} |")
            continue
        lines.append(
            f"| {check.metric} | {100 * result.first:.2f} | {100 * result.second:.2f} | {100 * result.difference:+.2f} "
            f"| {100 * result.confidence:.0f} %: {100 * result.low:+.2f} .. {100 * result.high:+.2f} | {100 * result.smallest_drop:.2f} "
            f"| {100 * check.max_drop:.2f} | {'passed' if check.passed else '**failed**'} |"
        )
    if decision.protocol is not None:
        lines += ["", f"Protocol: {decision.protocol.describe()}."]
    if decision.model:
        lines += ["", f"Model: {'; '.join(decision.model)}."]
    return "\n".join(lines).rstrip() + "\n"


def write_junit(decision: GateDecision) -> str:
    """A JUnit XML document: one test case a metric, or one for the comparison that could not be made."""
    cases = [(check.metric, check.passed, check.reason) for check in decision.checks] or [("comparison", decision.passed, decision.reason)]
    failures = sum(not passed for _, passed, _ in cases)
    suite = ElementTree.Element("testsuite", name="poseline gate", tests=str(len(cases)), failures=str(failures), errors="0")
    for name, passed, reason in cases:
        case = ElementTree.SubElement(suite, "testcase", classname="poseline.gate", name=name)
        if passed:
            ElementTree.SubElement(case, "system-out").text = reason
        else:
            ElementTree.SubElement(case, "failure", message=reason).text = reason
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
