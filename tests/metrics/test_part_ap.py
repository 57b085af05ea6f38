"""Scores of full-body data sets, part by part."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.errors import DataError
from poseline.metrics.keypoint_ap import score_with_pycocotools
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.part_ap import HALPE_SIGMAS, WHOLEBODY_SIGMAS, score_halpe, score_wholebody, summarize_parts, take_keypoints


def draw_people(num_keypoints: int) -> tuple[GroundTruth, Predictions]:
    rng = np.random.default_rng(num_keypoints)
    keypoints = rng.uniform(0, 300, (12, num_keypoints, 2))
    visibility = np.full((12, num_keypoints), 2)
    visibility[:4, -42:] = 0
    image_ids = np.repeat([1, 2, 3], 4)
    ground_truth = GroundTruth.from_arrays(
        [1, 2, 3], image_ids, keypoints=keypoints, visibility=visibility, area=np.full(12, 40_000.0),
        bbox_xywh=np.tile([0.0, 0, 300, 300], (12, 1)),
    )  # fmt: skip
    noise = rng.normal(0, 1, keypoints.shape) * rng.uniform(1, 30, (12, 1, 1))
    return ground_truth, Predictions.from_arrays(ground_truth, image_ids, keypoints=keypoints + noise, scores=rng.random(12))


def test_each_part_of_wholebody_equals_the_official_tool_on_it():
    ground_truth, predictions = draw_people(133)
    scores = score_wholebody(ground_truth, predictions)
    assert list(scores) == ["body", "foot", "face", "lefthand", "righthand", "whole"]
    for part, (start, stop) in {"foot": (17, 23), "righthand": (112, 133), "whole": (0, 133)}.items():
        people, poses = take_keypoints(ground_truth, predictions, np.arange(start, stop))
        assert scores[part].metrics == score_with_pycocotools(people, poses, sigmas=WHOLEBODY_SIGMAS[start:stop])


def test_hands_are_averaged():
    flat = summarize_parts(score_wholebody(*draw_people(133)))
    assert flat["ap_hand"] == pytest.approx((flat["ap_lefthand"] + flat["ap_righthand"]) / 2)
    assert flat["ap"] == flat["ap_whole"]


@pytest.mark.parametrize(("count", "parts"), [(26, ["body", "foot", "whole"]), (136, ["body", "foot", "face", "hand", "whole"])])
def test_halpe(count, parts):
    ground_truth, predictions = draw_people(count)
    scores = score_halpe(ground_truth, predictions)
    assert list(scores) == parts
    assert scores["whole"].metrics == score_with_pycocotools(ground_truth, predictions, sigmas=HALPE_SIGMAS[:count])
    assert all(0 <= score.metrics["ap"] <= 1 for score in scores.values())


def test_people_without_a_part_are_ignored():
    ground_truth, predictions = draw_people(136)
    assert score_halpe(ground_truth, predictions)["hand"].matches.num_people[0].sum() == 8
    assert score_halpe(ground_truth, predictions)["body"].matches.num_people[0].sum() == 12


def test_constants():
    assert len(WHOLEBODY_SIGMAS) == 133
    assert len(HALPE_SIGMAS) == 136


def test_faults():
    with pytest.raises(DataError, match="26 keypoints, skeleton 'wholebody133' has 133"):
        score_wholebody(*draw_people(26))
    with pytest.raises(DataError, match="133 keypoints, skeleton 'halpe136' has 136"):
        score_halpe(*draw_people(133))
