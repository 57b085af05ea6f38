"""Drawn ground_truth and predictions for the COCO-form scores: ties, crowds, empty images, unlabelled people, too many detections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from poseline.metrics.keypoint_types import GroundTruth, Predictions


def _draw_set(
    seed: int, *, images: int = 30, people: int = 6, ties: bool = False, crowds: bool = True, detections: float = 2.0
) -> tuple[GroundTruth, Predictions]:
    """Ground truth and predictions over ``images`` images of up to ``people - 1`` people; scores are rounded where ``ties``."""
    rng = np.random.default_rng(seed)
    image_ids = rng.permutation(100_000)[:images]
    owner = rng.permutation(np.repeat(image_ids, rng.integers(0, people, images)))
    count = len(owner)
    size = rng.uniform(10, 250, (count, 1, 1))
    keypoints = rng.uniform(0, 600, (count, 1, 2)) + rng.uniform(-0.5, 0.5, (count, 17, 2)) * size
    visibility = rng.integers(0, 3, (count, 17))
    visibility[rng.random(count) < 0.1] = 0
    labelled = (visibility > 0).sum(axis=1)
    labelled[rng.random(count) < 0.05] = 0
    ground_truth = GroundTruth.from_arrays(
        image_ids,
        owner,
        keypoints=keypoints,
        visibility=visibility,
        area=size[:, 0, 0] ** 2 * 0.5,
        bbox_xywh=np.concatenate([keypoints.min(axis=1), np.ptp(keypoints, axis=1)], axis=1),
        is_crowd=(rng.random(count) < 0.1) & crowds,
        num_keypoints=labelled,
    )
    source = rng.integers(0, count, int(count * detections)) if count else np.zeros(0, dtype=int)
    noise = size[source] * rng.choice([0.005, 0.02, 0.05, 0.2, 1.0], len(source))[:, None, None]
    found = keypoints[source] + rng.normal(0, 1, (len(source), 17, 2)) * noise
    if ties:
        found[1::5] = keypoints[source][1::5]
    stray = rng.choice(image_ids, images)
    where = np.concatenate([owner[source], stray])
    if images > 5:
        where[:40] = where[0]
    scores = rng.random(len(where))
    predictions = Predictions.from_arrays(
        ground_truth,
        where,
        keypoints=np.concatenate([found, rng.uniform(0, 600, (len(stray), 17, 2))]),
        scores=np.round(scores, 1) if ties else scores,
    )
    return ground_truth, predictions


def _shift_results(ground_truth: GroundTruth, predictions: Predictions, offset: np.ndarray) -> Predictions:
    """The same predictions with their keypoints moved by ``offset``."""
    image_ids = ground_truth.image_ids[predictions.image_index]
    return Predictions.from_arrays(ground_truth, image_ids, keypoints=predictions.keypoints + offset, scores=predictions.scores)


@pytest.fixture(scope="session")
def draw_set() -> Callable:
    """``draw_set(seed, images=..., people=..., ties=..., crowds=..., detections=...)``."""
    return _draw_set


@pytest.fixture(scope="session")
def shift_results() -> Callable:
    """``shift_results(ground_truth, predictions, offset)``."""
    return _shift_results
