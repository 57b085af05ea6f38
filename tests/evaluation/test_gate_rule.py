"""The gate: what stops a candidate, and that it fails closed."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from poseline.datasets.score import Score, Stamp
from poseline.evaluation.gate import decide
from poseline.evaluation.gate_summary import write_junit, write_markdown
from poseline.evaluation.runs import ScoredRun
from poseline.metrics.keypoint_ap import score_coco

STAMP = Stamp(benchmark="coco", boxes="ground_truth", flip=True, input_wh=(192, 256))


def change_score(run: ScoredRun, **values: object) -> ScoredRun:
    return replace(run, score=run.score.model_copy(update=values))


@pytest.fixture
def runs(draw_set, shift_results) -> tuple[ScoredRun, ScoredRun]:
    ground_truth, predictions = draw_set(1, images=80)
    noise = np.random.default_rng(0).normal(0, 4, predictions.keypoints.shape)
    scores = [score_coco(ground_truth, predictions), score_coco(ground_truth, shift_results(ground_truth, predictions, noise))]
    good, bad = (ScoredRun(Score(protocol=STAMP, metrics=score.metrics), score.matches) for score in scores)
    return good, bad


def test_a_significant_drop_is_stopped(runs):
    good, bad = runs
    decision = decide(good, bad, max_drop=0.005, resamples=200)
    assert not decision.passed
    assert "significant drop of more than 0.50" in decision.reason
    assert decision.checks[0].result.high < 0


def test_no_change_and_improvement_pass(runs):
    good, bad = runs
    assert decide(good, good, max_drop=0.0, resamples=50).passed
    assert decide(bad, good, max_drop=0.0, resamples=50).passed


def test_a_tolerated_drop_passes(runs):
    good, bad = runs
    decision = decide(good, bad, max_drop=0.5, resamples=50)
    assert decision.passed
    assert "within the tolerated 50.00" in decision.reason


def test_each_metric_has_its_own_threshold(runs):
    good, bad = runs
    decision = decide(good, bad, max_drop={"ap": 0.5, "ap_medium": 0.001}, resamples=200)
    assert not decision.passed
    assert [check.passed for check in decision.checks] == [True, False]
    assert decision.reason.startswith("ap_medium")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: None, "there is no baseline"),
        (lambda run: change_score(run, metrics={}), "metric 'ap' of the baseline is missing"),
        (lambda run: change_score(run, metrics={"ap": None}), "metric 'ap' of the baseline is missing"),
        (lambda run: change_score(run, metrics={"ap": float("nan")}), "not a fraction"),
        (lambda run: change_score(run, metrics={"ap": 61.2}), "not a fraction"),
        (lambda run: change_score(run, metrics={"ap": 0.9}), "its table gives"),
        (lambda run: replace(run, table=None), "table of the baseline is missing"),
        (lambda run: change_score(run, protocol=STAMP.model_copy(update={"flip": False})), "flip: False against True"),
        (lambda run: replace(run, table=replace(run.table, image_ids=run.table.image_ids + 1)), "different images"),
    ],
)
def test_it_fails_closed(runs, change, message):
    good, _ = runs
    decision = decide(change(good), good, max_drop=0.005, resamples=20)
    assert not decision.passed
    assert message in decision.reason


def test_no_candidate_and_no_metric_fail(runs):
    good, _ = runs
    assert not decide(good, None, max_drop=0.005).passed
    assert not decide(good, good, max_drop={}).passed
    giant = change_score(good, metrics={"ap_giant": 0.5})
    assert "unknown metric" in decide(giant, giant, max_drop={"ap_giant": 0.1}).reason


def test_summaries(runs):
    good, bad = runs
    decision = decide(good, bad, max_drop={"ap": 0.005, "ar": 0.9}, resamples=50)
    text = write_markdown(decision)
    assert "### poseline gate: failed" in text
    assert text.count("\n| a") == 2
    assert "ground-truth boxes, flip, 192x256" in text
    suite = ElementTree.fromstring(write_junit(decision))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    closed = ElementTree.fromstring(write_junit(decide(None, good, max_drop=0.1)))
    assert closed.find("testcase/failure").get("message").startswith("there is no baseline")


@pytest.mark.slow
def test_noise_alone_is_rarely_stopped(draw_set, shift_results):
    stopped = 0
    for seed in range(100):
        ground_truth, predictions = draw_set(seed, images=60)
        rng = np.random.default_rng(seed)
        first, second = (
            score_coco(ground_truth, shift_results(ground_truth, predictions, rng.normal(0, 2, predictions.keypoints.shape)))
            for _ in range(2)
        )
        baseline, candidate = (ScoredRun(Score(protocol=STAMP, metrics=score.metrics), score.matches) for score in (first, second))
        stopped += not decide(baseline, candidate, max_drop=0.0, resamples=300, seed=seed).passed
    assert stopped <= 5
