"""What the protocols of formats like COCO's share: their files, the pipeline's poses, box AP, and the score of a whole and its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from poseline.artifacts import PoseTable, write_text
from poseline.core.boxes import xyxy_to_xywh
from poseline.core.similarity import oks_pairs
from poseline.datasets.coco_scoring import BODY, BODY_KEYPOINTS, read_ground_truth, read_predictions
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, Headline, PlotRow
from poseline.metrics.average_precision import RECALL_POINTS
from poseline.metrics.box_ap import score_boxes
from poseline.metrics.keypoint_ap import KeypointScore
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import PartTable, summarize_parts


class CocoFormProtocol(EvaluationProtocol[GroundTruth, Predictions]):
    """Keypoints in COCO's format.

    Attributes:
        parts: keys whose keypoint lists are joined.
        area_from_box: whether the area is 0.53 of the box.
    """

    parts: ClassVar[tuple[str, ...]] = BODY
    area_from_box: ClassVar[bool] = False
    gateable = r"(ap|ar)(50|75|_[a-z0-9_]+)?"

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> GroundTruth:
        """The people of an annotation file."""
        return read_ground_truth(path, parts=self.parts, area_from_box=self.area_from_box)

    def read_predictions(self, path: Path, ground_truth: GroundTruth) -> Predictions:
        """The poses of a result file."""
        return read_predictions(path, ground_truth, parts=self.parts)

    def from_poses(self, table: PoseTable, ground_truth: GroundTruth) -> Predictions:
        """The pipeline's poses; their extent is the area that COCO's size slices look at."""
        poses = table.poses
        points = poses.keypoints.astype(np.float64)
        body = points[:, :BODY_KEYPOINTS] if len(self.parts) > 1 else points
        return Predictions.from_arrays(
            ground_truth,
            table.rows["image_id"].to_numpy(np.int64),
            keypoints=points,
            keypoint_scores=poses.keypoint_scores,
            scores=poses.pose_scores,
            area=np.prod(np.ptp(body, axis=1), axis=1) if len(points) else None,
        )

    def write_predictions(self, path: Path, table: PoseTable, ground_truth: GroundTruth) -> None:
        """Write COCO's result list. No boxes: their area would stand for the poses' own."""
        poses = table.poses
        triples = np.concatenate([poses.keypoints, poses.keypoint_scores[..., None]], axis=2).astype(np.float64).reshape(len(poses), -1)
        columns = zip(table.rows["image_id"].tolist(), triples.tolist(), poses.pose_scores.tolist(), strict=True)
        entries = [{"image_id": image, "category_id": 1, "keypoints": row, "score": score} for image, row, score in columns]
        write_text(path, json.dumps(entries))

    def rate_boxes(
        self,
        ground_truth: GroundTruth,
        image_ids: Int[np.ndarray, " N"],
        bbox_xyxy: Float[np.ndarray, "N 4"],
        scores: Float[np.ndarray, " N"],
    ) -> float | None:
        """Box AP of detections, by COCO's rule."""
        return score_boxes(ground_truth, image_ids, xyxy_to_xywh(bbox_xyxy), scores)["ap"]


def evaluate_keypoints(
    score: KeypointScore, ground_truth: GroundTruth, predictions: Predictions, sigmas: Float[np.ndarray, " K"]
) -> Evaluation:
    """What is said of the score of one list of keypoints; ``sigmas`` are those of the table of people."""
    return Evaluation(
        metrics=score.metrics,
        num_images=len(ground_truth.image_ids),
        num_people=int((~ground_truth.ignored).sum()),
        table=score.matches,
        people=_tabulate_people(ground_truth, predictions, score, sigmas),
        plot=_plot_precision(score),
    )


def _tabulate_people(
    ground_truth: GroundTruth, predictions: Predictions, score: KeypointScore, sigmas: Float[np.ndarray, " K"]
) -> pd.DataFrame:
    """One row a counted person: the pose matched to it at OKS 0.5 (position in the predictions, -1 none) and its OKS."""
    counted = np.flatnonzero(~ground_truth.ignored)
    pose_of = np.full(len(ground_truth), -1, dtype=np.int64)
    assert score.matches.ground_truth_index is not None
    matched = score.matches.ground_truth_index[0, :, 0]
    pose_of[matched[matched >= 0]] = score.matches.detection_index[matched >= 0]
    people = counted[pose_of[counted] >= 0]
    poses = pose_of[people]
    oks, scores = np.zeros(len(ground_truth)), np.zeros(len(ground_truth))
    scores[people] = predictions.scores[poses]
    true, flags = ground_truth.keypoints[people], ground_truth.visibility[people]
    oks[people] = oks_pairs(predictions.keypoints[poses], true, flags, ground_truth.area[people], sigmas)
    return pd.DataFrame(
        {
            "image_id": ground_truth.image_ids[ground_truth.image_index[counted]],
            "annotation_id": ground_truth.annotation_ids[counted],
            "area": ground_truth.area[counted],
            "pose": pose_of[counted],
            "oks": oks[counted],
            "pose_score": scores[counted],
        }
    )


def _plot_precision(score: KeypointScore) -> list[PlotRow]:
    """Precision over recall at OKS .50, .75 and .90."""
    curves = {"0.50": score.pr_curves[0], "0.75": score.pr_curves[5], "0.90": score.pr_curves[8]}
    return [
        {"recall": float(recall), "precision": float(value), "oks": name}
        for name, curve in curves.items()
        for recall, value in zip(RECALL_POINTS, curve, strict=True)
        if not np.isnan(value)
    ]


PART_HEADLINE = (
    Headline("ap", "AP", "Mean keypoint AP over OKS .50 to .95 of the whole person, every person's ground-truth box given."),
    Headline("ap_body", "AP body"),
    Headline("ap_foot", "AP feet"),
    Headline("ap_face", "AP face"),
    Headline("ap_hand", "AP hands"),
)


def evaluate_parts(
    scores: Mapping[str, KeypointScore], ground_truth: GroundTruth, predictions: Predictions, sigmas: Float[np.ndarray, " K"]
) -> Evaluation:
    """The metrics of the whole of full-body keypoints, and AP and AR of each part."""
    whole = scores["whole"]
    return replace(
        evaluate_keypoints(whole, ground_truth, predictions, sigmas),
        metrics={name: whole.metrics[name] for name in ("ap", "ap50", "ap75")} | summarize_parts(scores),
        table=PartTable({part: score.matches for part, score in scores.items()}),
        sections={"parts": {part: score.metrics for part, score in scores.items()}},
    )
