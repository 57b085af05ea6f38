"""MPII PCKh of the pipeline's predictions under ground-truth boxes."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, read_table
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.core.skeletons import load_skeleton
from poseline.datasets.predictions import pose_set
from poseline.datasets.records import convert_keypoints, person_arrays
from poseline.datasets.sets import target_skeleton
from poseline.errors import DataError
from poseline.evaluation.bootstrap import DistanceTable, bootstrap_metrics
from poseline.evaluation.match_tables import distances_to_frame
from poseline.evaluation.scores import ScoreFiles, not_enabled, read_about, stamp, truth_hash
from poseline.metrics.pckh import PckhScore, head_size_from_box, mean_pckh, score_pckh

CURVE = np.linspace(0, 0.5, 26)


def score(params: Params, layout: Layout) -> ScoreFiles:
    """PCKh@0.5 per joint and mean, PCKh@0.1 and AUC.

    Raises:
        DataError: a person lacks its head box.
    """
    about = read_about(layout, "predictions/mpii", made_by="predict mpii")
    if not about["enabled"]:
        return not_enabled("mpii")
    table, header = read_table(layout.predictions / "mpii/poses.parquet", kind="predictions", made_by="predict mpii")
    people, _ = read_table(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    truth = people[(people["dataset"] == "mpii") & (people["split"] == "val") & (people["num_keypoints"] > 0)]
    truth = truth.set_index("annotation_id").loc[table["annotation_id"]].reset_index()
    found = score_people(truth, table, header.skeleton, params)
    distances = DistanceTable.from_people(truth["image_id"].to_numpy(np.int64), found.distances)
    metrics = cast("dict[str, Yaml]", dict(found.metrics))
    if params.score.bootstrap:
        low, high = bootstrap_metrics(distances, ["pckh"], resamples=params.score.bootstrap, seed=params.seed)["pckh"]
        metrics["pckh_interval"] = [low, high]
    metrics["joints"] = cast("Yaml", found.joints)
    protocol = stamp(
        params, about, benchmark="mpii", boxes="ground_truth", data_hash=truth_hash(layout, "mpii"),
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


def score_people(truth: pd.DataFrame, table: pd.DataFrame, predicted_skeleton: str, params: Params) -> PckhScore:
    """PCKh of prediction rows against the record rows of the same people.

    Raises:
        DataError: a person lacks its head box.
    """
    union, mpii = target_skeleton(params), load_skeleton("mpii16")
    records = person_arrays(truth, union.num_keypoints)
    keypoints, visibility = convert_keypoints(records.keypoints, records.visibility, union, mpii)
    size = head_size_from_box(records.head_xyxy)
    if not (records.head_xyxy[:, 2] > records.head_xyxy[:, 0]).all():
        person = int(np.argmin(records.head_xyxy[:, 2] > records.head_xyxy[:, 0]))
        raise DataError(
            f"mpii val: annotation {truth['annotation_id'].iloc[person]} has no head box, which PCKh needs. "
            "Give data.mpii.head_boxes (gt_valid.mat) or the official release .mat."
        )
    poses = pose_set(table, load_skeleton(predicted_skeleton).num_keypoints)
    return score_pckh(poses.keypoints, keypoints, visibility == 0, size)
