"""Stage score: one data set's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.artifacts.freshness import OnStale
from poseline.config import Params
from poseline.evaluation.scoring import write_scores
from poseline.evaluation.set_scores import score_set


def run(params: Params, layout: Layout, name: str, *, on_stale: OnStale = "ignore") -> dict[str, float]:
    """Write reports/metrics/NAME.json, reports/per_person/NAME, reports/plots/NAME.json, and NAME_detections likewise; the metrics.

    Raises:
        StaleError: the predictions or tracks were made by other parameters or files than those of now, and that is to be refused.
    """
    found: dict[str, float] = {}
    for key, files in score_set(params, layout, name, on_stale=on_stale).items():
        write_scores(layout, key, files)
        prefix = "" if key == name else "detections_"
        found |= {prefix + metric: value for metric, value in files.score.numbers.items()}
    return found
