"""COCO keypoint average precision and recall: the ten official numbers, with the table of matches behind them."""

from __future__ import annotations

import contextlib
import io
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from poseline.core.similarity import oks_pairs
from poseline.metrics.average_precision import precision_recall
from poseline.metrics.keypoint_types import (
    AREA_NAMES,
    AREA_RANGES,
    COCO_SIGMAS,
    OKS_THRESHOLDS,
    CocoResults,
    CocoScore,
    CocoTruth,
    MatchTable,
)
from poseline.metrics.matching import pair_up, rank_detections, tabulate_matches

Engine = Literal["poseline", "pycocotools"]
METRIC_KEYS = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")


def score_coco(
    truth: CocoTruth,
    results: CocoResults,
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
    engine: Engine = "poseline",
) -> CocoScore:
    """The ten COCO keypoint numbers as fractions (None where nobody of that size is asked for), and the matches.

    Args:
        truth: annotated people.
        results: detected poses.
        sigmas: OKS fall-off per keypoint; COCO's 17 where None.
        max_detections: the best so many per picture count.
        engine: ``pycocotools`` takes the numbers from the official tool (slow); a test holds the other to the same bits.

    Raises:
        ValueError: sigmas for another number of keypoints.

    Reference:
        https://cocodataset.org/#keypoints-eval; pycocotools COCOeval(iouType="keypoints").
    """
    matches = match_coco(truth, results, sigmas=sigmas, max_detections=max_detections)
    precision, recall = precision_recall(matches)
    metrics = summarize(precision, recall)
    if engine == "pycocotools":
        metrics = score_with_pycocotools(truth, results, sigmas=sigmas, max_detections=max_detections)
    return CocoScore(metrics=metrics, matches=matches, precision=precision, recall=recall)


def match_coco(
    truth: CocoTruth,
    results: CocoResults,
    *,
    sigmas: Float[np.ndarray, " K"] | None = None,
    max_detections: int = 20,
    thresholds: Float[np.ndarray, " T"] = OKS_THRESHOLDS,
    truth_outside: Bool[np.ndarray, "S G"] | None = None,
    results_outside: Bool[np.ndarray, "S N"] | None = None,
    slices: tuple[str, ...] = AREA_NAMES,
    oks_area: Float[np.ndarray, " G"] | None = None,
) -> MatchTable:
    """The table of matches; by default in COCO's three slices of size.

    Args:
        truth: annotated people.
        results: detected poses.
        sigmas: OKS fall-off per keypoint; COCO's 17 where None.
        max_detections: the best so many per picture count.
        thresholds: OKS from which a detection may take a person.
        truth_outside: people who are not asked for in a slice (crowds and unlabelled people never are).
        results_outside: detections that are not punished in a slice when they find nobody.
        slices: the names.
        oks_area: px² that OKS divides by, where it is not the truth's own.
    """
    constants = COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    if len(constants) != truth.keypoints.shape[1]:
        raise ValueError(f"sigmas: expected {truth.keypoints.shape[1]}, one a keypoint of the truth, got {len(constants)}")
    if truth_outside is None or results_outside is None:
        truth_outside, results_outside = _outside_areas(truth.area), _outside_areas(results.area)
    kept, ranks = rank_detections(results.image_index, results.scores, max_detections)
    images = results.image_index[kept]
    detections, people = pair_up(images, truth.image_index, len(truth.image_ids))
    similarity = oks_pairs(
        results.keypoints[kept[detections]],
        truth.keypoints[people],
        truth.visibility[people],
        (truth.area if oks_area is None else oks_area)[people],
        constants,
        bbox_xywh_b=truth.bbox_xywh[people],
    )
    return tabulate_matches(
        truth,
        similarity,
        (detections, people),
        kept=kept,
        images=images,
        ranks=ranks,
        scores=results.scores[kept],
        truth_ignored=truth_outside | truth.ignored,
        unpunished=results_outside[:, kept],
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
    truth: CocoTruth, results: CocoResults, *, sigmas: Float[np.ndarray, " K"] | None = None, max_detections: int = 20
) -> dict[str, float | None]:
    """The ten numbers from the official tool, run on the same arrays with its printing silenced."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        official_truth, official_results = COCO(), COCO()
        official_truth.dataset = {
            "images": [{"id": int(image)} for image in truth.image_ids],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": _official_truth(truth),
        }
        official_results.dataset = {**official_truth.dataset, "annotations": _official_results(truth, results)}
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


def _official_truth(truth: CocoTruth) -> list[dict[str, object]]:
    points = np.concatenate([truth.keypoints, truth.visibility[..., None]], axis=2).reshape(len(truth), 3 * truth.keypoints.shape[1])
    # Ids from 1: the official tool takes id 0 for "not matched".
    return [
        {
            "id": index + 1,
            "image_id": int(truth.image_ids[truth.image_index[index]]),
            "category_id": 1,
            "keypoints": points[index].tolist(),
            "num_keypoints": int(truth.num_keypoints[index]),
            "area": float(truth.area[index]),
            "bbox": truth.bbox_xywh[index].tolist(),
            "iscrowd": int(truth.is_crowd[index]),
        }
        for index in range(len(truth))
    ]


def _official_results(truth: CocoTruth, results: CocoResults) -> list[dict[str, object]]:
    points = np.concatenate([results.keypoints, results.keypoint_scores[..., None]], axis=2)
    points = points.reshape(len(results), 3 * results.keypoints.shape[1])
    return [
        {
            "id": index + 1,
            "image_id": int(truth.image_ids[results.image_index[index]]),
            "category_id": 1,
            "keypoints": points[index].tolist(),
            "score": float(results.scores[index]),
            "area": float(results.area[index]),
        }
        for index in range(len(results))
    ]


def _outside_areas(area: Float[np.ndarray, " N"]) -> Bool[np.ndarray, "3 N"]:
    return (area[None] < AREA_RANGES[:, :1]) | (area[None] > AREA_RANGES[:, 1:])


def _mean(values: Float[np.ndarray, " ..."]) -> float | None:
    return None if np.isnan(values).any() else float(np.mean(values))
