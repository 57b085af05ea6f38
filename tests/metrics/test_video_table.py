"""Videos re-weighted: the table's figures are the scores' own, and a weight is a video written out so often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence
from poseline.datasets.posetrack.scoring import score_pose_tracking, score_posetrack
from poseline.errors import DataError
from poseline.evaluation.bootstrap import bootstrap_metrics, compare_tables, list_metrics
from poseline.evaluation.compare import judge_metrics
from poseline.evaluation.tables import table_from_frame, videos_to_frame
from poseline.metrics.tracking_score import TrackingScore
from poseline.metrics.video_table import VideoTable, tabulate_videos

Videos = dict[str, PoseTrackSequence]
METRICS = ["map", "mota", "motp", "precision", "recall", "hota", "det_a", "ass_a", "idf1"]


def draw_people(rng: np.random.Generator, ids: np.ndarray, centres: np.ndarray, noise: float) -> PoseSet:
    keypoints = centres[:, None] + np.stack([np.zeros(17), np.arange(17) * 12.0], axis=1) + rng.normal(scale=noise, size=(len(ids), 17, 2))
    boxes = np.concatenate([keypoints.min(axis=1) - 5, keypoints.max(axis=1) + 5], axis=1)
    return PoseSet(keypoints=keypoints, keypoint_scores=rng.uniform(0.3, 1, (len(ids), 17)).round(2), bbox_xyxy=boxes, track_ids=ids)


def draw_videos(seed: int, *, miss: float = 0.1, count: int = 6) -> tuple[Videos, Videos]:
    """Ground truth and what a tracker made of it: noise, misses, a false alarm at times, ids that change half-way."""
    ground_truth, found = {}, {}
    for number in range(count):
        rng, name = np.random.default_rng([seed, number]), f"video{number}"
        starts = np.arange(1 + number % 3) * 150.0 + 60
        frames: tuple[list[PoseTrackFrame], list[PoseTrackFrame]] = ([], [])
        for t in range(8):
            centres = np.stack([starts + 2 * t, np.full(len(starts), 60.0)], axis=1)
            ids = np.arange(len(starts))
            head = np.tile([0.0, 0, 20, 20], (len(ids), 1))
            own = PoseTrackFrame(t, f"{name}/{t}.jpg", t, True, (), draw_people(rng, ids, centres, 0.0), head)
            seen = rng.random(len(ids)) >= miss
            guessed = np.where((t > 4) & (rng.random() < 0.5), ids + 10, ids)[seen]
            spots, alarm = centres[seen], rng.random() < 0.3
            if alarm:
                guessed, spots = np.append(guessed, 99), np.vstack([spots, [[600.0, 300.0]]])
            frames[0].append(own)
            frames[1].append(own.with_people(draw_people(rng, guessed, spots, 3.0)))
        ground_truth[name], found[name] = (PoseTrackSequence(name, tuple(side), "2018") for side in frames)
    return ground_truth, found


def tabulate(ground_truth: Videos, found: Videos, mode: str = "poseval") -> VideoTable:
    score = score_posetrack(ground_truth, found, mode=mode)  # type: ignore[arg-type]
    return tabulate_videos(poses=score, tracked=score, people=score_pose_tracking(ground_truth, found))


def figures(ground_truth: Videos, found: Videos, mode: str) -> dict[str, float]:
    people: TrackingScore = score_pose_tracking(ground_truth, found)
    joints = score_posetrack(ground_truth, found, mode=mode).metrics  # type: ignore[arg-type]
    return {name: (joints if name in METRICS[:5] else people.metrics)[name] for name in METRICS}


def rates(table: VideoTable, weights: list[int]) -> dict[str, float]:
    return {name: float(values[0]) for name, values in table.rate(np.array([weights], dtype=np.uint16), METRICS).items()}


@pytest.mark.parametrize("mode", ["poseval", "strict"])
def test_weights_of_one_give_the_scores_themselves(mode: str) -> None:
    ground_truth, found = draw_videos(0)
    table = tabulate(ground_truth, found, mode)
    assert list_metrics(table) == METRICS
    assert rates(table, [1] * 6) == pytest.approx(figures(ground_truth, found, mode), abs=1e-12)


@pytest.mark.parametrize("mode", ["poseval", "strict"])
def test_a_weight_is_a_video_written_out_so_often(mode: str) -> None:
    ground_truth, found = draw_videos(1)
    weights = [2, 0, 1, 3, 0, 1]

    def written(videos: Mapping[str, PoseTrackSequence]) -> Videos:
        copies = [(f"{name}_{copy}", video) for (name, video), n in zip(sorted(videos.items()), weights, strict=True) for copy in range(n)]
        return {name: replace(video, name=name) for name, video in copies}

    got, expected = rates(tabulate(ground_truth, found, mode), weights), figures(written(ground_truth), written(found), mode)
    # Copies tie with each other at every rank: precision over one of them is that over all.
    assert got.pop("map") == pytest.approx(expected.pop("map"), abs=0.02)
    assert got == pytest.approx(expected, abs=1e-12)


def test_a_table_survives_its_file_form() -> None:
    table = tabulate(*draw_videos(2))
    weights = np.random.default_rng(0).integers(0, 3, (20, 6)).astype(np.uint16)
    again = table_from_frame(videos_to_frame(table))
    assert isinstance(again, VideoTable)
    assert again.image_ids.tolist() == table.image_ids.tolist()
    for name, values in table.rate(weights, METRICS).items():
        np.testing.assert_array_equal(again.rate(weights, [name])[name], values)


def test_parts_that_are_not_there_are_not_rated() -> None:
    ground_truth, found = draw_videos(3)
    people = score_pose_tracking(ground_truth, found)
    table = tabulate_videos(people=people)
    assert list_metrics(table) == ["mota", "hota", "det_a", "ass_a", "idf1"]
    assert table.rate(np.ones((1, 6), int), ["mota"])["mota"][0] == pytest.approx(people.metrics["clear_mota"])
    assert list_metrics(table_from_frame(videos_to_frame(table))) == list_metrics(table)
    with pytest.raises(DataError, match="unknown metric 'map'"):
        table.rate(np.ones((1, 6), int), ["map"])
    with pytest.raises(ValueError, match="same videos"):
        tabulate_videos()


def test_a_tracker_that_misses_more_is_found_to_be_worse() -> None:
    ground_truth, found = draw_videos(4, count=12)
    _, poorer = draw_videos(4, count=12, miss=0.5)
    tables = tabulate(ground_truth, found), tabulate(ground_truth, poorer)
    predictions = {result.metric: result for result in compare_tables(*tables, METRICS, resamples=200, seed=0)}
    assert predictions["mota"].high < 0
    assert predictions["hota"].high < 0
    assert predictions["mota"].unit == "videos"
    same = compare_tables(tables[0], tables[0], METRICS, resamples=50, seed=0)
    assert all(result.low == result.high == 0 for result in same)


def test_the_interval_holds_the_figure_and_repeats() -> None:
    table = tabulate(*draw_videos(5, count=10))
    intervals = bootstrap_metrics(table, METRICS, resamples=200, seed=4)
    assert intervals == bootstrap_metrics(table, METRICS, resamples=200, seed=4)
    for name, value in rates(table, [1] * 10).items():
        low, high = intervals[name]
        assert low < value < high


def test_few_videos_tell_nothing() -> None:
    ground_truth, found = draw_videos(7, count=5)
    _, poorer = draw_videos(7, count=5, miss=0.9)
    (comparison,) = judge_metrics(tabulate(ground_truth, found), tabulate(ground_truth, poorer), metrics=["mota"], resamples=50)
    assert comparison.result.high < 0
    assert (comparison.verdict, comparison.images_needed) == ("cannot tell", None)
