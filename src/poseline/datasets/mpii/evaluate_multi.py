"""MPII's multi-person protocol: mAP of joints over groups of people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseline.config import ScoreConfig
from poseline.datasets.mpii.groups import read_groups
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, Headline
from poseline.metrics.mpii_map import GroupPeople, label_groups, rate_groups


class MpiiMulti(EvaluationProtocol[GroupPeople, GroupPeople]):
    """MPII's groups."""

    name = "mpii-multi"
    title = "MPII multi-person"
    headline = (Headline("map", "mAP", "Mean joint AP at half a head size over groups of people."),)
    gateable = r"map(_[a-z]+)?"

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> GroupPeople:
        """The people of a JSON list."""
        return read_groups(path, ground_truth=True)

    def read_predictions(self, path: Path, ground_truth: GroupPeople) -> GroupPeople:
        """The poses of a JSON list."""
        return read_groups(path, ground_truth=False)

    def evaluate(self, ground_truth: GroupPeople, predictions: GroupPeople, options: ScoreConfig) -> Evaluation:
        """MAP of the mean, of each part and each joint."""
        labelled = label_groups(ground_truth, predictions)
        score = rate_groups(labelled, np.ones(len(labelled.group_ids), dtype=np.int64))
        return Evaluation(
            metrics=score.metrics,
            num_images=len(labelled.group_ids),
            num_people=len(ground_truth.group_ids),
            table=labelled,
            sections={"joints": score.joints},
        )
