"""Real sequences as a tracker gets them, the search on them, and the gain on the sequence left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poseline.config.tracking import TrackConfig
from poseline.errors import DataError
from poseline.track.held_out import leave_one_out
from poseline.track.mot_sequences import read_sequences, score_sequence, simulate, thin, track_sequence
from poseline.track.tune_mot import tune_on_sequences


def _write(folder: Path, *, seed: int, detections: bool = False, frames: int = 30) -> None:
    """Four people on straight walks, one line each and frame; a car and a row that does not count beside them."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform((50, 100), (600, 300), (4, 2)), rng.normal(0, 4, (4, 2))
    lines, found = [], []
    for frame in range(1, frames + 1):
        for person in range(4):
            x, y = place[person] + frame * speed[person]
            lines.append(f"{frame},{person + 1},{x:.1f},{y:.1f},40,100,1,1,1")
            found.append(f"{frame},-1,{x + rng.normal(0, 2):.1f},{y + rng.normal(0, 4):.1f},40,100,{rng.uniform(-1, 50):.2f},-1,-1,-1")
        lines += [f"{frame},9,5,5,80,40,1,3,1", f"{frame},8,9,9,40,100,0,1,1"]
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text("\n".join(lines) + "\n")
    if detections:
        (folder / "det").mkdir()
        (folder / "det/det.txt").write_text("\n".join(found) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("one", "two", "three")):
        _write(tmp_path / name, seed=number, detections=number < 2)
    return tmp_path


def test_people_that_count_and_detections_from_a_seed(root: Path) -> None:
    sequences = read_sequences(root, "drop", seed=1)
    assert sorted(sequences) == ["one", "three", "two"]
    assert all(rows[:, 4].tolist() == [1, 2, 3, 4] for rows in sequences["one"].ground_truth.values())
    again, other = read_sequences(root, "drop", seed=1)["one"].detections, read_sequences(root, "drop", seed=2)["one"].detections
    assert all(np.array_equal(again[frame], rows) for frame, rows in sequences["one"].detections.items())
    assert any(not np.array_equal(other[frame], rows) for frame, rows in again.items())
    count = sum(len(rows) for rows in again.values())
    assert 0.8 * 120 < count < 120


def test_hidden_people_are_missed() -> None:
    people = {frame: np.array([[100.0, 100, 40, 100, 1], [110.0, 120, 40, 100, 2]]) for frame in range(1, 51)}
    hidden, shown = (simulate(people, 0, occlude=occlude) for occlude in (True, False))
    assert sum(map(len, hidden.values())) < 0.65 * sum(map(len, shown.values()))


def test_a_sequences_own_detections_have_scores_by_rank(root: Path) -> None:
    sequences = read_sequences(root, "detections", stride=2)
    assert sorted(sequences) == ["one", "two"]
    assert list(sequences["one"].detections) == list(range(1, 16))
    scores = np.concatenate([rows[:, 4] for rows in read_sequences(root, "detections")["one"].detections.values()])
    assert (scores.min(), scores.max()) == pytest.approx((0.2 + 0.75 / 240, 0.95 - 0.75 / 240))


def test_thinned_frames_are_numbered_as_if_they_were_all() -> None:
    boxes = {frame: np.full((1, 5), frame) for frame in (1, 2, 4, 5, 7)}
    assert {frame: int(rows[0, 0]) for frame, rows in thin(boxes, 7, 3).items()} == {1: 1, 2: 4, 3: 7}


def test_the_default_tracker_follows_walkers(root: Path) -> None:
    sequence = read_sequences(root, "drop")["two"]
    score = score_sequence(sequence.ground_truth, track_sequence(TrackConfig(), sequence.detections))
    assert score["idf1"] > 0.85
    assert score["switches"] <= 2
    assert score["hota"] <= score_sequence(sequence.ground_truth, sequence.ground_truth)["hota"] == 1


def test_the_search_tells_what_held_on_the_sequence_left_out(root: Path) -> None:
    result, report = tune_on_sequences(TrackConfig(), root, candidates=3, seed=0, metric="hota", kind="drop")
    assert report["sequences"] == ["one", "three", "two"]
    trials = report["trials"]
    assert isinstance(trials, list)
    assert len(trials) == 4
    assert report["held_out_gain"] == pytest.approx(np.mean(result.gains))
    assert bool(report["overrides"]) == result.held
    assert json.dumps(report)


def test_a_gain_of_chance_does_not_hold() -> None:
    rng = np.random.default_rng(0)
    held = [leave_one_out(0.6 + 0.05 * rng.normal(size=(20, 8))).held for _ in range(200)]
    assert np.mean(held) < 0.05
    better = 0.6 + 0.05 * rng.normal(size=(1, 8)) + np.array([[0.0], [0.04]]) + 0.005 * rng.normal(size=(2, 8))
    assert leave_one_out(better).held


def test_no_two_sequences_are_enough(root: Path) -> None:
    with pytest.raises(DataError, match="2 sequences for 'detections', at least 3"):
        tune_on_sequences(TrackConfig(), root, candidates=1, seed=0, metric="hota", kind="detections")
    with pytest.raises(DataError, match=r"no VIDEO/gt/gt\.txt in it"):
        read_sequences(root / "one", "drop")
