"""The table of matches on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poseline.errors import ArtifactError
from poseline.evaluation.bootstrap import compare_tables
from poseline.evaluation.slices import match_slices
from poseline.evaluation.tables import distances_from_frame, distances_to_frame, matches_from_frame, matches_to_frame
from poseline.metrics.keypoint_ap import match_coco, score_coco
from poseline.metrics.pckh import DistanceTable


def test_round_trip_through_parquet(draw_set, tmp_path):
    ground_truth, predictions = draw_set(3, images=40)
    score = score_coco(ground_truth, predictions)
    matches_to_frame(score.matches).to_parquet(tmp_path / "m.parquet")
    table = matches_from_frame(pd.read_parquet(tmp_path / "m.parquet"))
    assert np.array_equal(table.matched, score.matches.matched)
    assert np.array_equal(table.ignored, score.matches.ignored)
    ones = np.ones((1, 40), dtype=int)
    assert {name: values[0] for name, values in table.rate(ones, list(score.metrics)).items()} == score.metrics
    assert compare_tables(table, score.matches, ["ap"], resamples=20, seed=0)[0].high == 0.0


def test_size_of_a_baseline(draw_set, tmp_path):
    ground_truth, predictions = draw_set(3, images=200, people=7)
    matches_to_frame(score_coco(ground_truth, predictions).matches).to_parquet(tmp_path / "m.parquet")
    assert len(ground_truth) > 500
    assert (tmp_path / "m.parquet").stat().st_size < 60_000


def test_slices_are_kept(draw_set):
    ground_truth, predictions = draw_set(3)
    matches = match_slices(ground_truth, predictions)
    table = matches_from_frame(matches_to_frame(matches))
    assert table.slices == matches.slices
    assert np.array_equal(table.num_people, matches.num_people)
    assert compare_tables(table, matches, ["ap_people_2_to_4"], resamples=20, seed=0)[0].low == 0.0


def test_other_thresholds_are_refused(draw_set):
    ground_truth, predictions = draw_set(3)
    with pytest.raises(ValueError, match="thresholds"):
        matches_to_frame(match_coco(ground_truth, predictions, thresholds=np.array([0.1])))


def test_distances(tmp_path):
    distances = np.random.default_rng(0).uniform(0, 2, (9, 16)).astype(np.float32)
    distances[0, 3] = np.nan
    table = DistanceTable.from_people(np.repeat([4, 2, 9], 3), distances)
    distances_to_frame(table).to_parquet(tmp_path / "d.parquet")
    again = distances_from_frame(pd.read_parquet(tmp_path / "d.parquet"))
    assert again.image_ids.tolist() == [2, 4, 9]
    ones = np.ones((1, 3), dtype=int)
    assert again.rate(ones, ["pckh"]) == table.rate(ones, ["pckh"])


def test_faults(draw_set):
    frame = matches_to_frame(score_coco(*draw_set(1)).matches)
    with pytest.raises(ArtifactError, match="columns \\['flags'\\] are missing"):
        matches_from_frame(frame.drop(columns="flags"))
    with pytest.raises(ArtifactError, match="flags for"):
        matches_from_frame(frame.drop(columns="asked_large"))
    with pytest.raises(ArtifactError, match="flags for"):
        matches_from_frame(frame.assign(flags=[b"" for _ in range(len(frame))]))
