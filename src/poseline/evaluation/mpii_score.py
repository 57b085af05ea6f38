"""MPII PCKh of the pipeline's predictions under ground-truth boxes."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, PoseTable, read_poses
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.annotations import HEAD_COLUMNS
from poseline.datasets.sets import target_skeleton
from poseline.errors import DataError
from poseline.evaluation.bootstrap import DistanceTable, bootstrap_metrics
from poseline.evaluation.match_tables import distances_to_frame
from poseline.evaluation.scores import ScoreFiles, not_enabled, read_about, stamp, truth_hash
from poseline.metrics.pckh import PckhScore, head_size_from_box, mean_pckh, score_pckh

CURVE = np.linspace(0, 0.5, 26)


def score(params: Params, layout: Layout, name: str) -> ScoreFiles:
    """PCKh@0.5 per joint and mean, PCKh@0.1 and AUC.

    Raises:
        DataError: a person lacks its head box.
    """
    about = read_about(layout, f"predictions/{name}", made_by=f"predict {name}")
    if not about["enabled"]:
        return not_enabled("mpii")
    table, _ = read_poses(layout.predictions / name / "poses.parquet", kind="predictions", made_by=f"predict {name}")
    people, _ = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    people = people.where(dataset=name, split="val")
    place = pd.Series(np.arange(len(people)), index=people.rows["annotation_id"])
    known = people.select(place.loc[table.rows["annotation_id"]].to_numpy())
    truth = known.rows
    found = score_people(known, table, params)
    distances = DistanceTable.from_people(truth["image_id"].to_numpy(np.int64), found.distances)
    metrics = cast("dict[str, Yaml]", dict(found.metrics))
    if params.score.bootstrap:
        low, high = bootstrap_metrics(distances, ["pckh"], resamples=params.score.bootstrap, seed=params.seed)["pckh"]
        metrics["pckh_interval"] = [low, high]
    metrics["joints"] = cast("Yaml", found.joints)
    protocol = stamp(
        params, about, benchmark="mpii", boxes="ground_truth", data_hash=truth_hash(layout, name),
        num_images=truth["image_id"].nunique(), num_people=len(truth),
    )  # fmt: skip
    metrics["protocol"] = cast("Yaml", protocol.to_dict())
    labelled = ~np.isnan(found.distances)
    rows = pd.DataFrame(
        {
            "image_id": truth["image_id"],
            "annotation_id": truth["annotation_id"],
            "pose": np.arange(len(truth)),
            "mean_distance": np.where(labelled, found.distances, 0).sum(axis=1) / np.maximum(labelled.sum(axis=1), 1),
        }
    )
    curve: list[Yaml] = [{"head_sizes": float(t), "pckh": mean_pckh(found.distances, float(t))} for t in CURVE]
    return ScoreFiles(metrics, rows, distances_to_frame(distances), curve)


def score_people(truth: PoseTable, predicted: PoseTable, params: Params) -> PckhScore:
    """PCKh of predicted poses against the same people.

    Raises:
        DataError: a person lacks its head box.
    """
    poses = truth.poses.convert(target_skeleton(params.data), load_skeleton("mpii16"))
    heads = truth.rows[list(HEAD_COLUMNS)].to_numpy(np.float32)
    size = head_size_from_box(heads)
    if not (heads[:, 2] > heads[:, 0]).all():
        person = int(np.argmin(heads[:, 2] > heads[:, 0]))
        raise DataError(
            f"mpii val: annotation {truth.rows['annotation_id'].iloc[person]} has no head box, which PCKh needs. "
            "Give data.sets.mpii.head_boxes (gt_valid.mat) or the official release .mat."
        )
    return score_pckh(predicted.poses.keypoints, poses.keypoints, poses.visibility == 0, size)
