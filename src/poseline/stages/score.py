"""Stage score: one data set's metrics from its predictions, in seconds and without the network."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.artifacts.freshness import OnStale
from poseline.config import Params
from poseline.evaluation.scoring import require_values, write_scores
from poseline.evaluation.set_scores import score_set


def run(params: Params, layout: Layout, name: str, *, require_value: bool = False, on_stale: OnStale = "ignore") -> dict[str, float]:
    """Write reports/metrics/NAME.json, reports/per_person/NAME, reports/plots/NAME.json, and NAME_detections likewise; the metrics.

    Raises:
        FindingsError: values are required, and a headline metric has none; the files are written all the same.
        StaleError: the predictions or tracks were made by other parameters or files than those of now, and that is to be refused.
    """
    found: dict[str, float] = {}
    scores = score_set(params, layout, name, on_stale=on_stale)
    for key, files in scores.items():
        write_scores(layout, key, files)
        prefix = "" if key == name else "detections_"
        found |= {prefix + metric: value for metric, value in files.score.numbers.items()}
    if require_value:
        for files in scores.values():
            require_values(files.score)
    return found
