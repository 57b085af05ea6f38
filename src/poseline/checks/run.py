"""Running the checks: derived tables through Great Expectations, its results as plain findings."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from poseline.checks.drawings import draw_readings
from poseline.checks.findings import MAX_IDS, CheckResult, Drawing, Findings, Page, Sample
from poseline.checks.readings import AS_EXPECTED, exchanged_sides, read_whole
from poseline.checks.tables import image_fingerprints, image_table, people_table, split_table
from poseline.config import ValidateConfig
from poseline.datasets.annotations import Annotations

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import ColumnMapExpectation

ID_COLUMNS = {"people": "annotation_id", "images": "image_id", "split": ""}


@dataclass(frozen=True)
class TableOutcome:
    """What the checks on one table gave.

    Attributes:
        results: in the order of the expectations.
        warned_ids: rows with at least one warning.
        pages: Great Expectations' rendering of the results, where the configuration wants it.
    """

    results: tuple[CheckResult, ...]
    warned_ids: frozenset[int]
    pages: tuple[Page, ...] = ()


def run_checks(annotations: Sequence[Annotations], config: ValidateConfig) -> Findings:
    """The findings on every split: what is against the expectations, and which checks could not be made.

    Nothing raises for faulty data: ``Findings.is_valid`` tells whether the pipeline may go on. A check that crashes is no
    statement on the data, but stops the pipeline as an error does.
    """
    outcomes: list[TableOutcome] = []
    drawings: list[Drawing] = []
    with quiet_expectations():
        from poseline.checks.expectations import image_expectations, people_expectations, split_expectations

        fingerprints = [image_fingerprints(split, depth=config.check_images) for split in annotations]
        readings = [read_whole(split) for split in annotations]
        for position, split in enumerate(annotations):
            others = [i for i, other in enumerate(annotations) if other.dataset == split.dataset and i != position]
            elsewhere = {name for i in others for name in fingerprints[i]}
            people = check_table(split, "people", people_table(split), people_expectations(config), html=config.html)
            of_images = image_table(split, fingerprints[position], elsewhere, depth=config.check_images)
            warned = len(people.warned_ids) / max(len(split.raw), 1)
            own = readings[position]
            sides = exchanged_sides(own.sides, [readings[i].sides for i in others])
            whole = split_table(split, fraction_with_warnings=warned, own=own, sides=sides)
            if config.html:
                drawings += draw_readings(split, own, exchanged=sides != AS_EXPECTED)
            outcomes += [
                people,
                check_table(split, "images", of_images, image_expectations(), html=config.html),
                check_table(split, "split", whole, split_expectations(config), html=config.html),
            ]
    return Findings(
        results=tuple(result for outcome in outcomes for result in outcome.results),
        pages=tuple(page for outcome in outcomes for page in outcome.pages),
        drawings=tuple(drawings),
    )


def check_table(
    annotations: Annotations, name: str, table: pd.DataFrame, expectations: Sequence[ColumnMapExpectation], *, html: bool
) -> TableOutcome:
    """The outcome of ``expectations`` on a table of people, images or the split.

    Expectations whose column applies to no row are left out (head boxes of COCO, track ids of stills); one whose column is
    missing is not: it crashes, and says so.
    """
    applicable = [e for e in expectations if e.column not in table or table[e.column].notna().any()]
    if not applicable:
        return TableOutcome((), frozenset())
    found = validate(table, applicable, id_column=ID_COLUMNS[name])
    by_type = {entry.expectation_config.type: entry for entry in found.results if entry.expectation_config}
    entries = [by_type[expectation.expectation_type] for expectation in applicable]
    results = tuple(
        to_result(entry, expectation, annotations=annotations, id_column=ID_COLUMNS[name])
        for entry, expectation in zip(entries, applicable, strict=True)
    )
    warned = [_all_ids(entry, ID_COLUMNS[name]) for entry, result in zip(entries, results, strict=True) if result.is_warning]
    pages: tuple[Page, ...] = ()
    if html:
        from poseline.checks.pages import render_page

        pages = (render_page(found, dataset=annotations.dataset, split=annotations.split, table=name),)
    return TableOutcome(results, frozenset(i for ids in warned for i in ids), pages)


def validate(table: pd.DataFrame, expectations: Sequence[ColumnMapExpectation], *, id_column: str) -> ExpectationSuiteValidationResult:
    """Great Expectations' results of ``expectations`` on a table."""
    import great_expectations as gx

    batch = _batch_definition().get_batch(batch_parameters={"dataframe": table})
    wanted: dict[str, object] = {
        "result_format": "COMPLETE",
        "partial_unexpected_count": MAX_IDS,
        "return_unexpected_index_query": False,
    }
    if id_column:
        wanted["unexpected_index_column_names"] = [id_column]
    return batch.validate(gx.ExpectationSuite(name="checks", expectations=list(expectations)), result_format=wanted)


@lru_cache(maxsize=1)
def _batch_definition() -> BatchDefinition[None]:
    """Any table as a batch, in a context that lives in memory and leaves no file behind."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    silent = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=silent)
    return context.data_sources.add_pandas("annotations").add_dataframe_asset("table").add_batch_definition_whole_dataframe("whole")


def to_result(
    entry: ExpectationValidationResult, expectation: ColumnMapExpectation, *, annotations: Annotations, id_column: str
) -> CheckResult:
    """One of Great Expectations' results as a plain value."""
    crash = _crash(entry.exception_info or {})
    found = entry.result
    return CheckResult(
        dataset=annotations.dataset,
        split=annotations.split,
        check=type(expectation).__name__,
        severity="warning" if expectation.severity == "warning" else "error",
        status="crashed" if crash else "passed" if entry.success else "failed",
        description=str(expectation.description),
        evaluated=int(found.get("element_count", 0)) - int(found.get("missing_count", 0)),
        unexpected=int(found.get("unexpected_count", 0)),
        id_column=id_column,
        ids=tuple(_all_ids(entry, id_column)[:MAX_IDS]),
        samples=tuple(_plain(value) for value in found.get("partial_unexpected_list", [])),
        message=crash,
    )


def _all_ids(entry: ExpectationValidationResult, id_column: str) -> list[int]:
    """The ids of every row against the expectation."""
    rows = entry.result.get("unexpected_index_list") or []
    return [int(row[id_column]) for row in rows] if id_column else []


def _crash(info: Mapping[str, object]) -> str:
    """Why a check could not be made; empty where it was made. A crash comes as one message or as one a metric."""
    if "raised_exception" in info:
        return str(info["exception_message"]) if info["raised_exception"] else ""
    messages = [str(value["exception_message"]) for value in info.values() if isinstance(value, dict) and value.get("raised_exception")]
    return messages[0] if messages else ""


def _plain(value: object) -> Sample:
    """A value fit for JSON; numbers to six digits."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.6g}") if np.isfinite(value) else str(value)
    return str(value)


@contextmanager
def quiet_expectations() -> Iterator[None]:
    """Great Expectations without analytics, warnings and log lines: the console belongs to the pipeline."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
