"""CrowdPose's scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseline.core.skeletons import load_skeleton
from poseline.errors import DataError
from poseline.metrics.crowd_ap import score_crowdpose
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import CocoResults, CocoTruth


@pytest.fixture
def crowd(draw_set) -> tuple[CocoTruth, CocoResults]:
    truth, results = draw_set(3, images=40)
    index = np.arange(14)
    visibility = truth.visibility[:, index]
    crowd_index = np.random.default_rng(0).uniform(0, 1, 40)
    labelled = (visibility > 0).sum(axis=1)
    truth = replace(
        truth, keypoints=truth.keypoints[:, index], visibility=visibility, num_keypoints=labelled, crowd_index=crowd_index
    )
    return truth, replace(results, keypoints=results.keypoints[:, index], keypoint_scores=results.keypoint_scores[:, index])


def take_pictures(truth: CocoTruth, results: CocoResults, chosen: np.ndarray) -> tuple[CocoTruth, CocoResults]:
    people, poses = chosen[truth.image_index], chosen[results.image_index]
    part = CocoTruth.from_arrays(
        truth.image_ids[chosen],
        truth.image_ids[truth.image_index[people]],
        keypoints=truth.keypoints[people],
        visibility=truth.visibility[people],
        area=np.prod(truth.bbox_xywh[people, 2:], axis=1) * 0.53,
        bbox_xywh=truth.bbox_xywh[people],
        is_crowd=truth.is_crowd[people],
        num_keypoints=truth.num_keypoints[people],
    )
    image_ids = truth.image_ids[results.image_index[poses]]
    return part, CocoResults.from_arrays(part, image_ids, keypoints=results.keypoints[poses], scores=results.scores[poses])


def test_equals_coco_on_the_pictures_of_each_kind(crowd):
    truth, results = crowd
    metrics = score_crowdpose(truth, results).metrics
    assert list(metrics) == ["ap", "ap50", "ap75", "ar", "ar50", "ar75", "ap_easy", "ap_medium", "ap_hard"]
    sigmas = load_skeleton("crowdpose14").sigma_array
    kinds = {
        "ap": truth.crowd_index >= 0,
        "ap_easy": truth.crowd_index < 0.2,
        "ap_medium": (truth.crowd_index >= 0.2) & (truth.crowd_index < 0.8),
        "ap_hard": truth.crowd_index >= 0.8,
    }
    for name, chosen in kinds.items():
        assert metrics[name] == score_coco(*take_pictures(truth, results, chosen), sigmas=sigmas).metrics["ap"], name


def test_the_area_of_the_truth_is_not_used(crowd):
    truth, results = crowd
    assert score_crowdpose(replace(truth, area=truth.area * 100), results).metrics == score_crowdpose(truth, results).metrics


def test_a_kind_without_pictures_has_no_value(crowd):
    truth, results = crowd
    easy = replace(truth, crowd_index=np.zeros(40))
    metrics = score_crowdpose(easy, results).metrics
    assert metrics["ap_hard"] is None
    assert metrics["ap_easy"] == metrics["ap"]


def test_faults(crowd, draw_set):
    truth, results = crowd
    with pytest.raises(DataError, match="crowdIndex"):
        score_crowdpose(replace(truth, crowd_index=None), results)
    other, found = draw_set(1)
    with pytest.raises(DataError, match="17 keypoints"):
        score_crowdpose(replace(other, crowd_index=np.zeros(30)), found)
