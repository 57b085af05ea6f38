"""Verdicts on two runs."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.evaluation.bootstrap import PairedResult
from poseline.evaluation.compare import count_images_needed, judge, judge_metrics
from poseline.metrics.keypoint_ap import score_coco


def result(difference: float, error: float) -> PairedResult:
    return PairedResult("ap", 0.5, 0.5 + difference, difference, difference - 2 * error, difference + 2 * error, 0.95, error, 100)


@pytest.mark.parametrize(("difference", "verdict"), [(0.05, "better"), (-0.05, "worse"), (0.01, "cannot tell")])
def test_verdict(difference, verdict):
    assert judge(result(difference, 0.01)) == verdict


def test_images_needed_grow_as_the_difference_shrinks():
    # (1.96 + 0.84)² = 7.85 squared standard errors of one image.
    assert count_images_needed(result(0.01, 0.01)) == 785
    assert count_images_needed(result(0.005, 0.01)) == pytest.approx(4 * 785, rel=0.01)
    assert count_images_needed(result(0.0, 0.01)) is None


def test_compare_says_worse_for_noise_on_the_keypoints(draw_set, shift_results):
    ground_truth, predictions = draw_set(1, images=80)
    noise = np.random.default_rng(0).normal(0, 4, predictions.keypoints.shape)
    first, second = (
        score_coco(ground_truth, predictions).matches,
        score_coco(ground_truth, shift_results(ground_truth, predictions, noise)).matches,
    )
    worse = judge_metrics(first, second, metrics=["ap", "ap_medium"], resamples=200)
    assert [entry.verdict for entry in worse] == ["worse", "worse"]
    assert [entry.verdict for entry in judge_metrics(second, first, resamples=200)] == ["better"]
    assert "worse" in worse[0].describe()
    (same,) = judge_metrics(first, first, resamples=20)
    assert (same.verdict, same.images_needed) == ("identical", None)
