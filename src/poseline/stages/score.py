"""Stage score: one data set's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.evaluation.scoring import write_scores
from poseline.evaluation.set_scores import score_set


def run(params: Params, layout: Layout, name: str) -> dict[str, float]:
    """Write reports/metrics/NAME.json, reports/per_person/NAME, reports/plots/NAME.json, and NAME_detections likewise; the metrics."""
    found: dict[str, float] = {}
    for key, files in score_set(params, layout, name).items():
        write_scores(layout, key, files)
        prefix = "" if key == name else "detections_"
        found |= {prefix + metric: value for metric, value in files.score.numbers.items()}
    return found
