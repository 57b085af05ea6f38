"""Keypoint AP of full-body data sets, part by part: COCO-WholeBody and Halpe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, Integer

from poseline.errors import DataError
from poseline.metrics.keypoint_ap import KeypointScore, score_coco
from poseline.metrics.keypoint_types import COCO_SIGMAS, GroundTruth, Predictions
from poseline.metrics.match_table import MatchTable

_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041, 0.045,
    0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008,
    0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009,
    0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008,
)  # fmt: skip
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024,
    0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip
WHOLEBODY_SIGMAS = np.concatenate([COCO_SIGMAS, _FOOT_SIGMAS, _FACE_SIGMAS, _HAND_SIGMAS, _HAND_SIGMAS])
HALPE_SIGMAS = np.concatenate([COCO_SIGMAS, np.full(3, 0.08), np.full(6, 0.089), np.full(68 + 42, 0.015)])

WHOLEBODY_RANGES = {"body": (0, 17), "foot": (17, 23), "face": (23, 91), "lefthand": (91, 112), "righthand": (112, 133), "whole": (0, 133)}
HALPE_RANGES = {"body": (0, 20), "foot": (20, 26), "face": (26, 94), "hand": (94, 136), "whole": (0, 136)}


@dataclass(frozen=True, eq=False)
class PartTable:
    """The tables of matches of each part of the body over the same images; enough to score any re-weighting of the images."""

    unit: ClassVar[str] = "images"
    parts: Mapping[str, MatchTable]

    @property
    def image_ids(self) -> Int[np.ndarray, " I"]:
        """The images that all parts share."""
        return self.parts["whole"].image_ids

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the table gives: those of the whole, and AP and AR of each part."""
        sides = ("ap_hand", "ar_hand") if "lefthand" in self.parts else ()
        return ("ap", "ap50", "ap75", "ar", *(f"{kind}_{part}" for part in self.parts for kind in ("ap", "ar")), *sides)

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        return metric in self.metrics

    def rate(self, weights: Integer[np.ndarray, "B I"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of image weights; NaN where no person is counted."""
        values = self.parts["whole"].rate(weights, ["ap", "ap50", "ap75", "ar"])
        for part, table in self.parts.items():
            rated = table.rate(weights, ["ap", "ar"])
            values |= {f"{kind}_{part}": rated[kind] for kind in ("ap", "ar")}
        if "lefthand" in self.parts:
            for kind in ("ap", "ar"):
                values[f"{kind}_hand"] = (values[f"{kind}_lefthand"] + values[f"{kind}_righthand"]) / 2
        return {name: values[name] for name in metrics}


def score_wholebody(ground_truth: GroundTruth, predictions: Predictions) -> dict[str, KeypointScore]:
    """The COCO scores of body, foot, face, lefthand, righthand and whole, of 133 keypoints; ``summarize_parts`` makes them flat.

    Every part is matched by itself, with the person's area, and ranked by its own score where results have one, else by the person's;
    people without a labelled keypoint of it are ignored, poses without a keypoint score above 0 in it are left out.

    Raises:
        DataError: other than 133 keypoints.

    Reference:
        Jin et al., Whole-Body Human Pose Estimation in the Wild, ECCV 2020; xtcocotools 1.14.
    """
    return _score_ranges(ground_truth, predictions, WHOLEBODY_SIGMAS, WHOLEBODY_RANGES, "wholebody133", drop_by_part=True)


def score_halpe(ground_truth: GroundTruth, predictions: Predictions) -> dict[str, KeypointScore]:
    """The COCO scores of body (20), foot, face, hand and whole, of Halpe's 136 keypoints; of 26: body, foot and whole.

    Crowds count as people, and may be found again and again; poses without any keypoint score above 0 are left out.

    Raises:
        DataError: other than 26 or 136 keypoints.

    Reference:
        Fang et al., AlphaPose, TPAMI 2022; halpecocotools 0.0.1, which scores 136 keypoints only.
    """
    ground_truth, predictions = replace(ground_truth, crowds_count=True), predictions.with_confident_keypoints()
    if ground_truth.keypoints.shape[1] == 26:
        ranges = {"body": (0, 20), "foot": (20, 26), "whole": (0, 26)}
        return _score_ranges(ground_truth, predictions, HALPE_SIGMAS[:26], ranges, "halpe26")
    return _score_ranges(ground_truth, predictions, HALPE_SIGMAS, HALPE_RANGES, "halpe136")


def summarize_parts(scores: Mapping[str, KeypointScore]) -> dict[str, float | None]:
    """Flat numbers for a metrics file: ap and ar of the whole, ap_PART and ar_PART; ``hand`` is the mean of left and right."""
    flat: dict[str, float | None] = {kind: scores["whole"].metrics[kind] for kind in ("ap", "ar")}
    for part, score in scores.items():
        flat |= {f"{kind}_{part}": score.metrics[kind] for kind in ("ap", "ar")}
    if "lefthand" in scores:
        for kind in ("ap", "ar"):
            sides = [value for side in ("left", "right") if (value := scores[f"{side}hand"].metrics[kind]) is not None]
            flat[f"{kind}_hand"] = float(np.mean(sides)) if sides else None
    return flat


def take_keypoints(ground_truth: GroundTruth, predictions: Predictions, index: Int[np.ndarray, " P"]) -> tuple[GroundTruth, Predictions]:
    """Ground truth and predictions with these keypoints only; people count as labelled by them. Areas and scores stay the person's."""
    visibility = ground_truth.visibility[:, index]
    people = replace(
        ground_truth,
        keypoints=ground_truth.keypoints[:, index],
        visibility=visibility,
        num_keypoints=(visibility > 0).sum(axis=1).astype(np.int64),
    )
    poses = replace(predictions, keypoints=predictions.keypoints[:, index], keypoint_scores=predictions.keypoint_scores[:, index])
    return people, poses


def _score_ranges(
    ground_truth: GroundTruth,
    predictions: Predictions,
    sigmas: Float[np.ndarray, " K"],
    ranges: Mapping[str, tuple[int, int]],
    skeleton: str,
    *,
    drop_by_part: bool = False,
) -> dict[str, KeypointScore]:
    count = ground_truth.keypoints.shape[1]
    if count != len(sigmas):
        raise DataError(f"ground truth: {count} keypoints, skeleton '{skeleton}' has {len(sigmas)}. Give that data set's annotation file.")
    scores = {}
    for part, (start, stop) in ranges.items():
        ranked = replace(predictions, scores=predictions.part_scores.get(part, predictions.scores))
        people, poses = take_keypoints(ground_truth, ranked, np.arange(start, stop))
        if drop_by_part:
            poses = poses.with_confident_keypoints()
        scores[part] = score_coco(people, poses, sigmas=sigmas[start:stop])
    return scores
