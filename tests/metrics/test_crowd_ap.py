"""CrowdPose's scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError
from poseline.metrics.crowd_ap import score_crowdpose
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions


@pytest.fixture
def crowd(draw_set) -> tuple[GroundTruth, Predictions]:
    ground_truth, predictions = draw_set(3, images=40)
    index = np.arange(14)
    visibility = ground_truth.visibility[:, index]
    crowd_index = np.random.default_rng(0).uniform(0, 1, 40)
    labelled = (visibility > 0).sum(axis=1)
    ground_truth = replace(
        ground_truth, keypoints=ground_truth.keypoints[:, index], visibility=visibility, num_keypoints=labelled, crowd_index=crowd_index
    )
    return ground_truth, replace(
        predictions, keypoints=predictions.keypoints[:, index], keypoint_scores=predictions.keypoint_scores[:, index]
    )


def take_pictures(ground_truth: GroundTruth, predictions: Predictions, chosen: np.ndarray) -> tuple[GroundTruth, Predictions]:
    people, poses = chosen[ground_truth.image_index], chosen[predictions.image_index]
    part = GroundTruth.from_arrays(
        ground_truth.image_ids[chosen],
        ground_truth.image_ids[ground_truth.image_index[people]],
        keypoints=ground_truth.keypoints[people],
        visibility=ground_truth.visibility[people],
        area=np.prod(ground_truth.bbox_xywh[people, 2:], axis=1) * 0.53,
        bbox_xywh=ground_truth.bbox_xywh[people],
        is_crowd=ground_truth.is_crowd[people],
        num_keypoints=ground_truth.num_keypoints[people],
    )
    image_ids = ground_truth.image_ids[predictions.image_index[poses]]
    return part, Predictions.from_arrays(part, image_ids, keypoints=predictions.keypoints[poses], scores=predictions.scores[poses])


def test_equals_coco_on_the_pictures_of_each_kind(crowd):
    ground_truth, predictions = crowd
    metrics = score_crowdpose(ground_truth, predictions).metrics
    assert list(metrics) == ["ap", "ap50", "ap75", "ar", "ar50", "ar75", "ap_easy", "ap_medium", "ap_hard"]
    sigmas = load_skeleton("crowdpose14").sigma_array
    kinds = {
        "ap": ground_truth.crowd_index >= 0,
        "ap_easy": ground_truth.crowd_index < 0.2,
        "ap_medium": (ground_truth.crowd_index >= 0.2) & (ground_truth.crowd_index < 0.8),
        "ap_hard": ground_truth.crowd_index >= 0.8,
    }
    for name, chosen in kinds.items():
        assert metrics[name] == score_coco(*take_pictures(ground_truth, predictions, chosen), sigmas=sigmas).metrics["ap"], name


def test_the_area_of_the_truth_is_not_used(crowd):
    ground_truth, predictions = crowd
    assert (
        score_crowdpose(replace(ground_truth, area=ground_truth.area * 100), predictions).metrics
        == score_crowdpose(ground_truth, predictions).metrics
    )


def test_a_kind_without_pictures_has_no_value(crowd):
    ground_truth, predictions = crowd
    easy = replace(ground_truth, crowd_index=np.zeros(40))
    metrics = score_crowdpose(easy, predictions).metrics
    assert metrics["ap_hard"] is None
    assert metrics["ap_easy"] == metrics["ap"]


def test_faults(crowd, draw_set):
    ground_truth, predictions = crowd
    with pytest.raises(DataError, match="crowdIndex"):
        score_crowdpose(replace(ground_truth, crowd_index=None), predictions)
    other, found = draw_set(1)
    with pytest.raises(DataError, match="17 keypoints"):
        score_crowdpose(replace(other, crowd_index=np.zeros(30)), found)
