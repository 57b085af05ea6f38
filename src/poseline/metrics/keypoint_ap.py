"""COCO keypoint average precision and recall: the ten official numbers, with the table of matches behind them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from poseline.core.similarity import oks_pairs
from poseline.metrics.keypoint_types import AREA_NAMES, AREA_RANGES, COCO_SIGMAS, OKS_THRESHOLDS, GroundTruth, Predictions
from poseline.metrics.match_table import MatchTable, precision_recall
from poseline.metrics.matching import pair_up, rank_detections, tabulate_matches

Engine = Literal["poseline", "pycocotools"]
METRIC_KEYS = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")


@dataclass(frozen=True)
class KeypointScore:
    """The score of one set of predictions.

    Attributes:
        metrics: fractions; None where no person is counted.
        matches: the table that the bootstrap re-weights.
        precision: float64 [S, T, 101] at the recall points 0, .01, ..., 1; NaN where no person is counted.
        recall: float64 [S, T], the highest reached.
    """

    metrics: dict[str, float | None]
    matches: MatchTable
    precision: Float[np.ndarray, "S T 101"]
    recall: Float[np.ndarray, "S T"]

    @property
    def pr_curves(self) -> Float[np.ndarray, "T 101"]:
        """Precision at the 101 recall points for each OKS threshold, all sizes."""
        return self.precision[0]


def score_coco(
    ground_truth: GroundTruth,
    predictions: Predictions,
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
    engine: Engine = "poseline",
) -> KeypointScore:
    """The ten COCO keypoint numbers as fractions (None where there is no person of that size), and the matches.

    Args:
        ground_truth: annotated people.
        predictions: detected poses.
        sigmas: OKS fall-off per keypoint; COCO's 17 where None.
        max_detections: the best so many per image count.
        engine: ``pycocotools`` takes the numbers from the official tool (slow); a test holds the other to the same bits.

    Raises:
        ValueError: sigmas for another number of keypoints.

    Reference:
        https://cocodataset.org/#keypoints-eval; pycocotools COCOeval(iouType="keypoints").
    """
    matches = match_coco(ground_truth, predictions, sigmas=sigmas, max_detections=max_detections)
    precision, recall = precision_recall(matches)
    metrics = summarize(precision, recall)
    if engine == "pycocotools":
        metrics = score_with_pycocotools(ground_truth, predictions, sigmas=sigmas, max_detections=max_detections)
    return KeypointScore(metrics=metrics, matches=matches, precision=precision, recall=recall)


def match_coco(
    ground_truth: GroundTruth,
    predictions: Predictions,
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
    thresholds: Float[np.ndarray, " T"] = OKS_THRESHOLDS,
    ground_truth_outside: Bool[np.ndarray, "S G"] | None = None,
    predictions_outside: Bool[np.ndarray, "S N"] | None = None,
    slices: tuple[str, ...] = AREA_NAMES,
    oks_area: Float[np.ndarray, " G"] | None = None,
) -> MatchTable:
    """The table of matches; by default in COCO's three slices of size.

    Args:
        ground_truth: annotated people.
        predictions: detected poses.
        sigmas: OKS fall-off per keypoint; COCO's 17 where None.
        max_detections: the best so many per image count.
        thresholds: OKS from which a detection may take a person.
        ground_truth_outside: people who do not count in a slice (crowds and unlabelled people never are).
        predictions_outside: detections that are no false positives in a slice when they match no person.
        slices: the names.
        oks_area: px² that OKS divides by, where it is not the ground truth's own.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    if len(constants) != ground_truth.keypoints.shape[1]:
        raise ValueError(f"sigmas: expected {ground_truth.keypoints.shape[1]}, one a keypoint of the ground truth, got {len(constants)}")
    if ground_truth_outside is None or predictions_outside is None:
        ground_truth_outside, predictions_outside = _outside_areas(ground_truth.area), _outside_areas(predictions.area)
    kept, ranks = rank_detections(predictions.image_index, predictions.scores, max_detections)
    images = predictions.image_index[kept]
    detections, people = pair_up(images, ground_truth.image_index, len(ground_truth.image_ids))
    similarity = oks_pairs(
        predictions.keypoints[kept[detections]],
        ground_truth.keypoints[people],
        ground_truth.visibility[people],
        (ground_truth.area if oks_area is None else oks_area)[people],
        constants,
        bbox_xywh_b=ground_truth.bbox_xywh[people],
    )
    return tabulate_matches(
        ground_truth,
        similarity,
        (detections, people),
        kept=kept,
        images=images,
        ranks=ranks,
        scores=predictions.scores[kept],
        ground_truth_ignored=ground_truth_outside | ground_truth.ignored,
        unmatched_ignored=predictions_outside[:, kept],
        thresholds=thresholds,
        slices=slices,
    )


def summarize(precision: Float[np.ndarray, "S T 101"], recall: Float[np.ndarray, "S T"]) -> dict[str, float | None]:
    """The ten numbers from curves in the slices all, medium, large at OKS .5:.05:.95."""
    values = (
        _mean(precision[0]), _mean(precision[0, 0]), _mean(precision[0, 5]), _mean(precision[1]), _mean(precision[2]),
        _mean(recall[0]), _mean(recall[0, 0]), _mean(recall[0, 5]), _mean(recall[1]), _mean(recall[2]),
    )  # fmt: skip
    return dict(zip(METRIC_KEYS, values, strict=True))


def score_with_pycocotools(
    ground_truth: GroundTruth, predictions: Predictions, *, sigmas: Float[np.ndarray, " K"] | None = None, max_detections: int = 20
) -> dict[str, float | None]:
    """The ten numbers from the official tool, run on the same arrays with its printing silenced."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        official_truth, official_results = COCO(), COCO()
        official_truth.dataset = {
            "images": [{"id": int(image)} for image in ground_truth.image_ids],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": _official_truth(ground_truth),
        }
        official_results.dataset = {**official_truth.dataset, "annotations": _official_results(ground_truth, predictions)}
        official_truth.createIndex()
        official_results.createIndex()
        evaluation = COCOeval(official_truth, official_results, "keypoints")
        evaluation.params.maxDets = [max_detections]
        evaluation.params.kpt_oks_sigmas = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.moveaxis(evaluation.eval["precision"][:, :, 0, :, 0], 2, 0).copy()
    recall = np.moveaxis(evaluation.eval["recall"][:, 0, :, 0], 1, 0).copy()
    precision[precision < 0], recall[recall < 0] = np.nan, np.nan
    return summarize(precision, recall)


def _official_truth(ground_truth: GroundTruth) -> list[dict[str, object]]:
    points = np.concatenate([ground_truth.keypoints, ground_truth.visibility[..., None]], axis=2).reshape(
        len(ground_truth), 3 * ground_truth.keypoints.shape[1]
    )
    # Ids from 1: the official tool takes id 0 for "not matched".
    return [
        {
            "id": index + 1,
            "image_id": int(ground_truth.image_ids[ground_truth.image_index[index]]),
            "category_id": 1,
            "keypoints": points[index].tolist(),
            "num_keypoints": int(ground_truth.num_keypoints[index]),
            "area": float(ground_truth.area[index]),
            "bbox": ground_truth.bbox_xywh[index].tolist(),
            "iscrowd": int(ground_truth.is_crowd[index]),
        }
        for index in range(len(ground_truth))
    ]


def _official_results(ground_truth: GroundTruth, predictions: Predictions) -> list[dict[str, object]]:
    points = np.concatenate([predictions.keypoints, predictions.keypoint_scores[..., None]], axis=2)
    points = points.reshape(len(predictions), 3 * predictions.keypoints.shape[1])
    return [
        {
            "id": index + 1,
            "image_id": int(ground_truth.image_ids[predictions.image_index[index]]),
            "category_id": 1,
            "keypoints": points[index].tolist(),
            "score": float(predictions.scores[index]),
            "area": float(predictions.area[index]),
        }
        for index in range(len(predictions))
    ]


def _outside_areas(area: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "3 N"]:
    return (area[None] < AREA_RANGES[:, :1]) | (area[None] > AREA_RANGES[:, 1:])


def _mean(values: Float[np.ndarray, "..."] | np.float64) -> float | None:
    return None if np.isnan(values).any() else float(np.mean(values))
