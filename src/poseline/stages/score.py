"""Stage score: one data set's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.evaluation.scoring import write_scores
from poseline.evaluation.set_scores import score_set


def run(params: Params, layout: Layout, name: str) -> dict[str, float]:
    """Write reports/metrics/<name>.json, reports/per_person/<name> and reports/plots/<name>.json; the metrics."""
    files = score_set(params, layout, name)
    write_scores(layout, name, files)
    return files.score.numbers
