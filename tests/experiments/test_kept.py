"""A row of an experiment that makes only some scores carries the others that hold for it, marked as an earlier one's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from poseline.artifacts import Layout
from poseline.artifacts.freshness import made_from
from poseline.config import Params
from poseline.experiments import open_stage

if TYPE_CHECKING:
    from tests.experiments.conftest import Store


@pytest.fixture
def make(layout: Layout, make_params: Callable[..., Params]) -> Callable[..., None]:
    """Predict, then score, a data set under a tracker, as the pipeline does."""

    def run(params: Params, name: str, value: float, *, predict: bool = True) -> None:
        folder = layout.predictions / name
        if predict:
            with open_stage(f"predict@{name}", params, layout):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "poses.parquet").write_text(f"{value}")
                (folder / "about.json").write_text(
                    json.dumps({"enabled": True, "made_from": made_from("predict", params, layout, [], name=name)})
                )
        with open_stage(f"score@{name}", params, layout):
            record = made_from("score", params, layout, [folder / "poses.parquet"], name=name)
            layout.metrics.mkdir(parents=True, exist_ok=True)
            content = {"ap": value, "protocol": {"benchmark": "coco", "made_from": record}}
            (layout.metrics / f"{name}.json").write_text(json.dumps(content))

    return run


@pytest.fixture
def two_sets(make_params: Callable[..., Params]) -> Params:
    """Parameters with two data sets."""
    params = make_params()
    sets = {"coco": params.data.sets["coco"], "mine": params.data.sets["coco"]}
    return params.model_copy(update={"data": params.data.model_copy(update={"sets": sets})})


def change_score(params: Params) -> Params:
    """Other parameters of the score stage of one data set."""
    sets = {**params.data.sets, "mine": params.data.sets["mine"].model_copy(update={"head_boxes": "other.mat"})}
    return params.model_copy(update={"data": params.data.model_copy(update={"sets": sets})})


def test_scores_that_hold_are_in_the_row_and_marked(store: Store, make, two_sets: Params) -> None:
    make(two_sets, "coco", 0.5)
    make(two_sets, "mine", 0.25)
    [first] = store.parents()
    assert first.data.metrics == {"coco.ap": 0.5, "mine.ap": 0.25}
    assert first.data.tags.get("poseline.restored", "") == ""
    make(change_score(two_sets), "mine", 0.75)
    second = store.parents()[1]
    assert second.data.metrics == {"coco.ap": 0.5, "mine.ap": 0.75}
    assert second.data.tags["poseline.restored"] == "coco"


def test_scores_that_do_not_hold_are_left_out_until_they_are_made(store: Store, make, two_sets: Params, layout: Layout) -> None:
    for name in ("coco", "mine"):
        make(two_sets, name, 0.5)
    other = two_sets.model_copy(update={"seed": 9})  # every score takes the seed
    make(other, "mine", 0.75)
    assert store.parents()[1].data.metrics == {"mine.ap": 0.75}
    make(other, "coco", 0.25)
    row = store.parents()[1]
    assert row.data.metrics == {"mine.ap": 0.75, "coco.ap": 0.25}
    assert row.data.tags.get("poseline.restored", "") == ""
    (layout.predictions / "coco/poses.parquet").write_text("of another network")
    make(other.model_copy(update={"report": other.report.model_copy(update={"title": "x"})}), "mine", 0.75)
    assert store.parents()[2].data.metrics == {"mine.ap": 0.75}


def test_an_experiment_of_the_report_alone_has_every_score(store: Store, make, two_sets: Params, layout: Layout) -> None:
    for name in ("coco", "mine"):
        make(two_sets, name, 0.5)
    other = two_sets.model_copy(update={"report": two_sets.report.model_copy(update={"title": "x"})})
    with open_stage("report", other, layout):
        Path(layout.page).write_text("page")
    row = store.parents()[1]
    assert row.data.metrics == {"coco.ap": 0.5, "mine.ap": 0.5}
    assert row.data.tags["poseline.restored"] == "coco, mine"
