"""The table in which `mlflow ui` compares experiments: one row an execution, its headline scores as columns."""

from __future__ import annotations

import json

SCORES = ("coco.ap", "coco_detections.ap", "mpii.pckh", "posetrack.map", "posetrack.mota")
SETTINGS = ("model.backbone", "codec.kind", "train.learning_rate", "train.epochs")
VIEW = "poseline"


def experiment_tags() -> dict[str, str]:
    """Tags that give an experiment its kind, its first score, and a shared view (``viewStateShareKey=poseline``)."""
    columns = [f"metrics.`{name}`" for name in SCORES] + [f"params.`{name}`" for name in SETTINGS]
    view = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_10_RUNS",
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": SCORES[0],
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }
