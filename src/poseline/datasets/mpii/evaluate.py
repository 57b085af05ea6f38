"""MPII's single-person protocol: PCKh at half a head size, at a tenth, and the area under its curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from poseline.artifacts import PoseTable, write_json
from poseline.config import ScoreConfig
from poseline.datasets.mpii.files import load_matlab
from poseline.datasets.mpii.scoring_files import MpiiGroundTruth, read_mpii_list, read_mpii_matlab, read_mpii_predictions
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, Headline, PlotRow
from poseline.errors import DataError
from poseline.metrics.pckh import DistanceTable, mean_pckh, score_pckh

CURVE = np.linspace(0, 0.5, 26)
Positions = Float[np.ndarray, "N 16 2"]


class Mpii(EvaluationProtocol[MpiiGroundTruth, Positions]):
    """MPII's 16 joints; predictions are positions in the ground truth's order of people."""

    name = "mpii"
    title = "MPII"
    headline = (
        Headline("pckh", "PCKh@0.5", "Fraction of joints within half a head size of the ground truth."),
        Headline("pckh_01", "PCKh@0.1"),
        Headline("auc", "AUC"),
    )
    gateable = r"pckh(_[a-z0-9]+)?"

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> MpiiGroundTruth:
        """The people of the official arrays (gt_valid.mat), or of a JSON list with its head boxes."""
        is_list = path.suffix == ".json" or head_boxes is not None or "RELEASE" in load_matlab(path)
        return read_mpii_list(path, head_boxes) if is_list else read_mpii_matlab(path)

    def read_predictions(self, path: Path, ground_truth: MpiiGroundTruth) -> Positions:
        """The positions of a .mat, .h5 or .json file."""
        return read_mpii_predictions(path, ground_truth)

    def from_poses(self, table: PoseTable, ground_truth: MpiiGroundTruth) -> Positions:
        """The poses by their people's annotation ids.

        Raises:
            DataError: a counted person without a pose.
        """
        ids = ground_truth.annotation_ids
        positions = np.full((len(ids), 16, 2), np.nan)
        known = np.isin(table.rows["annotation_id"].to_numpy(np.int64), ids)
        rows = np.searchsorted(ids, table.rows["annotation_id"].to_numpy(np.int64)[known])
        positions[rows] = table.poses.keypoints[known] + float(ground_truth.first_pixel)
        lacking = np.flatnonzero(ground_truth.counted & np.isnan(positions).any(axis=(1, 2)))
        if len(lacking):
            raise DataError(f"predictions: annotation {ids[lacking[0]]} has no pose ({len(lacking)} such people). Predict again.")
        return positions

    def write_predictions(self, path: Path, table: PoseTable, ground_truth: MpiiGroundTruth) -> None:
        """Write a JSON list of positions, pixels from 1; people who do not count and have no pose lie at 1, 1."""
        positions = self.from_poses(table, ground_truth) + (1 - ground_truth.first_pixel)
        write_json(path, {"preds": np.where(np.isnan(positions), 1.0, positions).tolist()})

    def explain(self, metric: str, ground_truth: MpiiGroundTruth) -> str:
        """Why a metric has no value."""
        return f"none of the {int(ground_truth.counted.sum())} people who count in the ground truth has such a joint annotated"

    def evaluate(self, ground_truth: MpiiGroundTruth, predictions: Positions, options: ScoreConfig) -> Evaluation:
        """PCKh of the mean, of each part and each joint."""
        counted = ground_truth.counted
        score = score_pckh(
            predictions[counted], ground_truth.keypoints[counted], ground_truth.missing[counted], ground_truth.head_size[counted]
        )
        # Files that do not say which people share an image: each person is drawn alone.
        images = (np.arange(len(counted)) if ground_truth.image_ids is None else ground_truth.image_ids)[counted]
        labelled = ~np.isnan(score.distances)
        people = pd.DataFrame(
            {
                "image_id": images,
                "annotation_id": ground_truth.annotation_ids[counted],
                "pose": np.arange(len(images)),
                "mean_distance": np.where(labelled, score.distances, 0).sum(axis=1) / np.maximum(labelled.sum(axis=1), 1),
            }
        )
        curve: list[PlotRow] = [{"head_sizes": float(at), "pckh": mean_pckh(score.distances, float(at))} for at in CURVE]
        return Evaluation(
            metrics=score.metrics,
            num_images=None if ground_truth.image_ids is None else len(np.unique(images)),
            num_people=len(images),
            table=DistanceTable.from_people(images, score.distances),
            sections={"joints": score.joints},
            people=people,
            plot=curve,
        )
